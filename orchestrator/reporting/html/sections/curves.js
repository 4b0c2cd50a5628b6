function drawCurves() {
  const series = (method) => result(method).sessions[state.measure];
  const started = (method) => series(method).some((v) => v.mean !== null);
  const methods = shown().filter(started), others = faint().filter(started);
  const height = narrow() ? 320 : 440;
  let range = methods.length || others.length ? span([...methods, ...others].map(series)) : [0, 100];
  const opacity = methods.length > 3 ? 0.1 : 0.16;
  const traces = [
    ...(methods.length > DATA.many ? [] : methods.map((m) => band(m, series(m), opacity))),
    ...others.map((m) => faintCurve(m, series(m))), ...methods.map((m, i) => curve(m, series(m), { zorder: methods.length - i })),
  ];
  const ends = endsOf(methods, series);
  const ceilings = DATA.curves.ceilings && state.measure === "micro" ? DATA.curves.ceilings.values : [];
  const limited = traces.length > 0 && ceilings.some((value) => value < 1);
  if (limited) {
    traces.push({
      type: "scatter", mode: "lines", x: ceilings.map((_, t) => t), y: ceilings.map(hundred), line: { color: css("--soft"), width: 1.5, dash: "dot" },
      hovertemplate: "no classifier can exceed %{y:.1f} %<extra></extra>",
    });
    ends.push({ text: "ceiling", colour: "#888888", x: ceilings.length - 1, y: hundred(ceilings.at(-1)) });
    range = [range[0], 103];
  }
  const unknown = state.measure === "unknown_auroc";
  draw("curves", traces, {
    height, margin: labelMargin(), xaxis: sessionsAxis(), yaxis: percentAxis(unknown ? "AUROC" : "accuracy", range),
    annotations: narrow() ? [] : endLabels(ends, range, height),
  }, none);
  $("note-curves").textContent = limited ? `${DATA.curves.ceilings.labels} labels share test clips with other labels; no classifier can exceed the dotted line.` : "";
  table("curves", `${unknown ? "AUROC of the unknown score" : "Accuracy on test clips"}, mean [95 % interval] (%)`, ["method", ...DATA.seen.map((_, t) => (unknown ? `session ${t}` : `A_${t}`))],
    [...methods, ...others].map((m) => [label(m), ...series(m).map((v) => (v.low === null ? percent(v.mean) : `${percent(v.mean)} [${percent(v.low)}, ${percent(v.high)}]`))]));
}

addControl("measure", "micro");
addSection("curves", drawCurves, ["measure"]);
