function drawSides() {
  const methods = shown().filter((m) => result(m).sessions.novel.some((v) => v.mean !== null));
  const traces = methods.flatMap((m) => [
    curve(m, result(m).sessions.base, { hovertemplate: `<b>${safe(label(m))}</b>, base classes<br>session %{x}: %{y:.1f} %<extra></extra>` }),
    curve(m, result(m).sessions.novel, {
      line: { color: colour(m), width: 1.6, dash: "dot" }, marker: { symbol: symbol(m) + "-open", size: 8, color: colour(m) },
      hovertemplate: `<b>${safe(label(m))}</b>, novel classes<br>session %{x}: %{y:.1f} %<extra></extra>`,
    }),
  ]);
  draw("sides", traces, { xaxis: sessionsAxis(), yaxis: percentAxis("accuracy", [-3, 103]) }, DATA.planned_sessions < 2 ? "With one session, all classes are base classes." : none);
  table("sides", "Base / novel accuracy (%)", ["method", ...DATA.seen.map((_, t) => `session ${t}`)],
    methods.map((m) => [label(m), ...result(m).sessions.base.map((v, t) => `${percent(v.mean)} / ${percent(result(m).sessions.novel[t].mean)}`)]));
}

addSection("sides", drawSides);
