// Loss by epoch of the followed methods that train.

function trainingTrace(method, curves) {
  const points = curves.flatMap((curve) => [
    ...curve.epoch.map((epoch, i) => ({ x: curve.start + epoch, y: curve.loss[i], size: i ? 0 : 7, about: [curve.session, safe(curve.name), epoch, curve.epochs, curve.n] })),
    { x: null, y: null, size: 0, about: [] }, // a gap
  ]);
  return {
    type: "scatter", mode: "lines+markers", name: safe(method.name), x: points.map(({ x }) => x), y: points.map(({ y }) => y),
    line: { color: method.colour, width: 2, dash: method.dash }, marker: marker(method, { size: points.map(({ size }) => size), opacity: 1, line: { width: 0 } }), customdata: points.map(({ about }) => about),
    hovertemplate: `<b>${safe(method.name)}</b><br>session %{customdata[0]:.0f}, %{customdata[1]}<br>epoch %{customdata[2]} of %{customdata[3]}: loss %{y}, n %{customdata[4]}<extra></extra>`,
  };
}

function drawTraining() {
  const methods = DATA.methods.filter(isChosen), curvesOf = (method) => DATA.training.methods[method.name];
  const trained = methods.filter(curvesOf), without = methods.filter((method) => !curvesOf(method));
  const positive = trained.every((method) => curvesOf(method).every((curve) => curve.loss.every((loss) => loss > 0)));
  draw("training", trained.map((method) => trainingTrace(method, curvesOf(method))), {
    showlegend: true, legend: { orientation: "h", y: -0.2, font: { size: 12, color: css("--soft") } },
    xaxis: { title: { text: "epochs of the chain" }, rangemode: "tozero" }, yaxis: { title: { text: positive ? "loss (log scale)" : "loss" }, type: positive ? "log" : "linear" },
  }, "No followed method has curves of training.");
  $("note-training").textContent = [
    trained.length && without.length ? `Without curves, as they train nothing by epochs or were computed by an earlier version: ${without.map((method) => method.name).join(", ")}.` : "",
    DATA.training.unreadable ? `Curves of ${DATA.training.unreadable} sessions are missing or damaged.` : "",
  ].join(" ").trim();
  const rows = trained.flatMap((method) => curvesOf(method).filter((curve) => curve.loss.length).map((curve) => [method.name, curve.session, curve.name, curve.epochs, curve.loss[0], curve.loss.at(-1)]));
  table("training", "Loss of the first and the last epoch, mean over chains", ["method", "session", "training", "epochs", "first loss", "last loss"], rows);
}

addSection("training", drawTraining);
