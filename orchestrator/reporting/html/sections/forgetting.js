function drawForgetting() {
  const methods = shown().filter((m) => result(m).forgetting.some((v) => v.mean !== null));
  const traces = methods.map((m) => ({
    type: "bar", name: safe(label(m)), x: result(m).forgetting.map((_, j) => j), y: result(m).forgetting.map((v) => hundred(v.mean)), marker: { color: colour(m) },
    error_y: { type: "data", symmetric: false, color: css("--soft"), thickness: 1.2, width: 3, array: result(m).forgetting.map((v) => hundred(v.high === null ? 0 : v.high - v.mean)), arrayminus: result(m).forgetting.map((v) => hundred(v.low === null ? 0 : v.mean - v.low)) },
    hovertemplate: `<b>${safe(label(m))}</b><br>classes of session %{x}: %{y:.1f} points<extra></extra>`,
  }));
  draw("forgetting", traces, { xaxis: { title: { text: "classes of session" }, dtick: 1 }, yaxis: { title: { text: "points lost" } } }, "No chain is complete yet, or there is only one session.");
  table("forgetting", "Points lost at the end", ["method", ...(methods[0] ? result(methods[0]).forgetting.map((_, j) => `session ${j}`) : []), "mean"],
    methods.map((m) => [label(m), ...result(m).forgetting.map((v) => percent(v.mean)), percent(result(m).chain.forgetting.mean)]));
}

addSection("forgetting", drawForgetting);
