function drawSides() {
  const of = (side) => (method) => result(method).sessions[side];
  const methods = shown().filter((m) => of("novel")(m).some((v) => v.mean !== null));
  const height = narrow() ? 320 : 440;
  const range = methods.length ? span(methods.flatMap((m) => [of("base")(m), of("novel")(m)])) : [0, 100];
  const traces = methods.flatMap((m) => [
    curve(m, of("base")(m), { hovertemplate: `<b>${safe(label(m))}</b>, base classes<br>${SESSION}: %{y:.1f} %<extra></extra>` }),
    curve(m, of("novel")(m), {
      line: { color: m.colour, width: 1.3, dash: m.dash }, marker: marker(m, { symbol: m.symbol + "-open" }),
      hovertemplate: `<b>${safe(label(m))}</b>, novel classes<br>${SESSION}: %{y:.1f} %<extra></extra>`,
    }),
  ]);
  draw("sides", traces, {
    height, margin: labelMargin(), xaxis: sessionsAxis(), yaxis: percentAxis("accuracy", range),
    annotations: narrow() ? [] : endLabels(endsOf(methods, of("base")), range, height),
  }, none);
  table("sides", "Base / novel accuracy (%)", ["method", ...DATA.seen.map((_, t) => `session ${t}`)],
    methods.map((m) => [label(m), ...of("base")(m).map((v, t) => `${percent(v.mean)} / ${percent(of("novel")(m)[t].mean)}`)]));
}

addSection("sides", drawSides);
