function drawPareto() {
  const pareto = DATA.pareto;
  const [vertical, horizontal] = pareto.objectives;
  const value = (candidate, k) => (candidate.values[k] === null ? null : (pareto.objectives[k].share ? 100 : 1) * candidate.values[k]);
  const methods = DATA.methods.filter((m) => !state.off.has(m.name));
  const traces = methods.flatMap((m) => [true, false].map((optimal) => {
    const candidates = pareto.candidates.filter((candidate) => candidate.method === m.name && candidate.optimal === optimal);
    return {
      type: "scatter", mode: "markers", x: candidates.map((c) => value(c, 1)), y: candidates.map((c) => value(c, 0)), customdata: candidates.map((c) => safe(c.configuration)),
      marker: { color: colour(m), size: 11, symbol: symbol(m) + (optimal ? "" : "-open") }, hovertemplate: `<b>%{customdata}</b><br>${vertical.title} %{y:.4g}<br>${horizontal.title} %{x:.4g}<extra></extra>`,
    };
  })).filter((trace) => trace.x.length);
  draw("pareto", traces, { xaxis: { title: { text: horizontal.title + (horizontal.share ? " (%)" : "") }, tickformat: horizontal.share ? "" : "~s" }, yaxis: { title: { text: vertical.title + (vertical.share ? " (%)" : "") } } }, "No configuration has finished all its seeds.");
  table("pareto", "The Pareto set of each method", ["method", "configuration", ...pareto.objectives.map((objective) => objective.title)],
    pareto.candidates.filter((c) => c.optimal).map((c) => [c.method, c.configuration, ...c.values.map((v, k) => (pareto.objectives[k].share ? percent(v) : String(v)))]));
}

addSection("pareto", drawPareto);
