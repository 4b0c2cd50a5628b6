function drawSeeds() {
  const methods = shown().filter((m) => result(m).chains.length).reverse();
  const traces = methods.flatMap((m, row) => [{
    type: "scatter", mode: "markers", x: result(m).chains.map((c) => hundred(c.aa)), y: result(m).chains.map(() => row), marker: { color: colour(m), symbol: symbol(m), size: 11, opacity: 0.75 },
    customdata: result(m).chains.map((c) => c.seeds.join(".")), hovertemplate: `<b>${safe(label(m))}</b><br>seeds %{customdata}: AA %{x:.1f} %<extra></extra>`,
  }]);
  draw("seeds", traces, {
    height: 110 + 38 * methods.length, margin: { l: 60, r: 12, t: 8, b: 48 }, xaxis: percentAxis("AA of a chain"),
    yaxis: { tickvals: methods.map((_, i) => i), ticktext: methods.map((m) => safe(short(label(m), 18))), range: [-0.6, methods.length - 0.4] },
  }, "No chain is complete yet.");
  const parts = (m) => (result(m).variance ? Object.entries(result(m).variance.shares).map(([name, share]) => `${name} ${percent(share)} %`).join(", ") : "unknown: the seeds change together, or there are too few");
  $("note-seeds").textContent = methods.slice().reverse().filter((m) => result(m).variance).map((m) => `Variance of ${label(m)}: ${parts(m)}.`).join(" ");
  table("seeds", "AA of each chain (seeds order.support.initialisation), and variance components", ["method", "std", "share of the variance", "chains"],
    methods.slice().reverse().map((m) => [label(m), percent(result(m).chain.aa.std), parts(m), result(m).chains.map((c) => `${c.seeds.join(".")}: ${percent(c.aa)}`).join("; ")]));
}

addSection("seeds", drawSeeds);
