function drawImportance() {
  const rows = Object.entries(DATA.importance).filter(([name]) => !state.off.has(name)).flatMap(([name, shares]) => Object.entries(shares).map(([key, share]) => ({ method: DATA.methods.find((m) => m.name === name), key, share })));
  rows.sort((a, b) => a.share - b.share);
  draw("importance", rows.length ? [{
    type: "bar", orientation: "h", x: rows.map((r) => 100 * r.share), y: rows.map((_, i) => i), marker: { color: rows.map((r) => colour(r.method)) },
    customdata: rows.map((r) => [safe(r.method.name), safe(r.key)]), hovertemplate: "<b>%{customdata[0]}</b>, %{customdata[1]}: %{x:.0f} %<extra></extra>",
  }] : [], {
    height: 100 + 28 * rows.length, margin: { l: 60, r: 12, t: 8, b: 48 }, xaxis: { ...percentAxis("share of the differences"), range: [0, 101] },
    yaxis: { tickvals: rows.map((_, i) => i), ticktext: rows.map((r) => safe(`${r.method.name}: ${r.key}`)), range: [-0.6, rows.length - 0.4], showgrid: false },
  }, "No method has enough finished configurations with settings that differ.");
  table("importance", "Share of the differences in validation AA (%)", ["method", "hyperparameter", "share"], rows.slice().reverse().map((r) => [r.method.name, r.key, percent(r.share)]));
}

addSection("importance", drawImportance);
