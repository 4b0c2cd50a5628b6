function drawCurves() {
  const series = (method) => result(method).sessions[state.measure];
  const methods = shown().filter((method) => series(method).some((v) => v.mean !== null));
  const traces = [...methods.map((m) => band(m, series(m))), ...methods.map((m) => curve(m, series(m)))];
  let [low, high] = methods.length ? span(methods, series) : [0, 100];
  const limits = methods.length && DATA.curves.ceilings && state.measure === "micro" ? DATA.curves.ceilings.values : null;
  if (limits && limits.some((value) => value < 1)) {
    traces.push({
      type: "scatter", mode: "lines", x: limits.map((_, t) => t), y: limits.map(hundred), line: { color: css("--soft"), width: 1.5, dash: "dot" },
      hovertemplate: "no classifier can exceed %{y:.1f} %<extra></extra>",
    });
    high = 103;
  }
  const ends = methods.map((m) => ({ text: label(m), colour: colour(m), y: hundred(series(m).map((v) => v.mean).filter((v) => v !== null).pop()) }));
  if (limits && limits.some((value) => value < 1)) ends.push({ text: "ceiling", colour: css("--soft"), y: hundred(limits[limits.length - 1]) });
  draw("curves", traces, {
    xaxis: sessionsAxis(), yaxis: percentAxis(state.measure === "unknown_auroc" ? "AUROC" : "accuracy", [low, high]),
    annotations: narrow() ? [] : endLabels(ends, low, high, (high - low) * 0.055),
  }, none);
  $("note-curves").textContent = limits && limits.some((value) => value < 1) ? `${DATA.curves.ceilings.labels} labels share test clips with other labels; no classifier can exceed the dotted line.` : "";
  const unknown = state.measure === "unknown_auroc";
  table("curves", `${unknown ? "AUROC of the unknown score" : "Accuracy on test clips"}, mean [95 % interval] (%)`, ["method", ...DATA.seen.map((_, t) => (unknown ? `session ${t}` : `A_${t}`))],
    methods.map((m) => [label(m), ...series(m).map((v) => (v.low === null ? percent(v.mean) : `${percent(v.mean)} [${percent(v.low)}, ${percent(v.high)}]`))]));
}

addControl("measure", "micro");
addSection("curves", drawCurves, ["measure"]);
