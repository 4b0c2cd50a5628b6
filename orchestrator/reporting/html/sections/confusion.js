function drawConfusion() {
  const cells = focusedHead().confusion[state.session] || [];
  const present = new Set(cells.flatMap(([i, j]) => [i, j]));
  const labels = [...order().filter((c) => present.has(c)), ...[...present].filter((c) => !order().includes(c)).sort((a, b) => a - b)];
  const index = new Map(labels.map((c, i) => [c, i]));
  const sums = new Map();
  cells.forEach(([i, , n]) => sums.set(i, (sums.get(i) || 0) + n));
  const z = labels.map(() => labels.map(() => 0));
  cells.forEach(([i, j, n]) => { z[index.get(i)][index.get(j)] = (100 * n) / sums.get(i); });
  const few = labels.length <= (narrow() ? 12 : 45);
  const shownNames = labels.map((c) => safe(short(classNames()[c], 16)));
  const axis = { tickvals: few ? labels.map((_, i) => i) : [], ticktext: few ? shownNames : [], showgrid: false, tickfont: { size: 11 } };
  draw("confusion", cells.length ? [heat(z, null, "true %{customdata[0]}, predicted %{customdata[1]}: %{z:.1f} %", { customdata: labels.map((a) => labels.map((b) => [safe(classNames()[a]), safe(classNames()[b])])) })] : [], {
    height: Math.min(900, Math.max(320, 150 + 18 * labels.length)), margin: { l: 60, r: 12, t: 8, b: 60 },
    xaxis: { ...axis, title: { text: "predicted class" }, tickangle: -60 }, yaxis: { ...axis, title: { text: "true class" }, autorange: "reversed" },
  }, "This method has not finished this session.");
  const wrong = cells.filter(([i, j]) => i !== j).map(([i, j, n]) => [i, j, n / sums.get(i)]).sort((a, b) => b[2] - a[2]).slice(0, 30);
  table("confusion", `The ${wrong.length} most frequent confusions after session ${state.session}`, ["true class", "predicted class", "%"], wrong.map(([i, j, share]) => [classNames()[i], classNames()[j], percent(share)]));
}

addSection("confusion", drawConfusion, ["focus", "session"]);
