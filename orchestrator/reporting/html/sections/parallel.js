function drawParallel() {
  const several = (name) => DATA.parallel.filter((c) => c.method === name && c.validation.mean !== null);
  const method = [focused(), ...shown()].find((m) => several(m.name).length > 1 && Object.keys(several(m.name)[0].varied).length);
  const rows = method ? several(method.name) : [];
  const keys = rows.length ? [...new Set(rows.flatMap((row) => Object.keys(row.varied)))] : [];
  const axes = keys.map((key) => {
    const values = rows.map((row) => row.varied[key]);
    if (!values.every((v) => typeof v === "number")) {
      const kinds = [...new Set(values.map((v) => JSON.stringify(v)))].sort();
      return { key, at: (v) => (kinds.length < 2 ? 0.5 : kinds.indexOf(JSON.stringify(v)) / (kinds.length - 1)), marks: kinds.map((k, i) => [kinds.length < 2 ? 0.5 : i / (kinds.length - 1), k]) };
    }
    const low = Math.min(...values), high = Math.max(...values), log = low > 0 && high / low > 20;
    const f = log ? Math.log : (v) => v;
    return { key, at: (v) => (high === low ? 0.5 : (f(v) - f(low)) / (f(high) - f(low))), marks: high === low ? [[0.5, low]] : [[0, Number(low.toPrecision(3))], [1, Number(high.toPrecision(3))]] };
  });
  const accuracies = rows.map((row) => row.validation.mean);
  const low = Math.min(...accuracies), high = Math.max(...accuracies);
  const level = (v) => (high === low ? 1 : (v - low) / (high - low));
  const last = axes.length;
  const traces = rows.slice().sort((a, b) => a.validation.mean - b.validation.mean).map((row) => {
    const part = level(row.validation.mean);
    return {
      type: "scatter", mode: "lines+markers", x: [...axes.map((_, i) => i), last], y: [...axes.map((axis) => axis.at(row.varied[axis.key])), part],
      line: { color: colour(method), width: 1 + 2 * part }, marker: { size: 5, color: colour(method) }, opacity: 0.15 + 0.85 * part,
      hovertemplate: `<b>${safe(row.name)}</b><br>${axes.map((axis) => `${safe(axis.key)} ${safe(settingText(row.varied[axis.key]))}`).join("<br>")}<br>validation AA ${percent(row.validation.mean)} %<extra></extra>`,
    };
  });
  const marks = [...axes.map((axis) => axis.marks), [[0, percent(low) + " %"], [1, percent(high) + " %"]]];
  draw("parallel", keys.length ? traces : [], {
    margin: { l: 60, r: 70, t: 30, b: 48 },
    xaxis: { tickvals: [...axes.map((_, i) => i), last], ticktext: [...keys.map((key) => safe(short(key, 20))), "validation AA"], range: [-0.25, last + 0.35], showgrid: true, zeroline: false },
    yaxis: { visible: false, range: [-0.08, 1.08] },
    annotations: marks.flatMap((list, x) => list.map(([y, text]) => ({ x, y, text: safe(short(text, 14)), showarrow: false, xanchor: "left", xshift: 6, font: { size: 11, color: css("--soft") }, bgcolor: css("--paper") }))),
  }, "No method has several finished configurations with settings that differ.");
  table("parallel", method ? `Configurations of ${method.name}` : "", ["configuration", ...keys, "validation AA", "AA"],
    rows.slice().sort((a, b) => b.validation.mean - a.validation.mean).map((row) => [row.name, ...keys.map((key) => settingText(row.varied[key])), percent(row.validation.mean), percent(row.test.mean)]));
}

addSection("parallel", drawParallel, ["focus"]);
