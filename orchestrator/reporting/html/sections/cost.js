function drawCost() {
  const rows = DATA.methods.map((m, i) => ({ m, cost: DATA.cost[i] })).filter(({ m, cost }) => !state.off.has(m.name) && cost.used !== null);
  draw("cost", rows.map(({ m, cost }) => ({
    type: "bar", name: safe(m.name), x: cost.seconds.map((_, t) => t), y: cost.seconds, marker: { color: colour(m) }, hovertemplate: `<b>${safe(m.name)}</b><br>session %{x}: %{y:.2f} s<extra></extra>`,
  })), { xaxis: { title: { text: "session" }, dtick: 1 }, yaxis: { title: { text: "seconds" } } }, "No session is finished yet.");
  const number = (v) => (v === null || v === undefined ? "-" : Number(v).toLocaleString("en"));
  const memory = rows.some(({ cost }) => cost.memory);
  table("cost", "Mean seconds of a chain; parameters after its last session", ["method", "seconds", "parameters used", "parameters stored", ...(memory ? ["peak memory, MiB"] : [])],
    rows.map(({ m, cost }) => [m.name, cost.seconds.reduce((a, b) => a + (b || 0), 0).toFixed(1), number(cost.used), number(cost.stored), ...(memory ? [cost.memory ? (cost.memory / 2 ** 20).toFixed(0) : "-"] : [])]));
}

addSection("cost", drawCost);
