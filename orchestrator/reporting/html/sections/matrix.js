function drawMatrix() {
  const rows = focusedHead().matrix.filter((row) => row.some((v) => v !== null));
  const z = rows.map((row) => row.map(hundred));
  draw("matrix", rows.length ? [heat(z, rows.map((row) => row.map((v) => (v === null ? "" : percent(v)))), "after session %{y}, classes of session %{x}: %{z:.1f} %")] : [], {
    height: Math.min(560, 110 + 44 * rows.length), margin: { l: 52, r: 12, t: 12, b: 54 },
    xaxis: { title: { text: "classes of session j" }, dtick: 1, showgrid: false, zeroline: false },
    yaxis: { title: { text: "after session t" }, autorange: "reversed", dtick: 1, showgrid: false, zeroline: false },
  }, "This method has no finished session with predictions yet.");
  table("matrix", "a[t, j] (%)", ["t", ...DATA.seen.map((_, j) => `j = ${j}`)], rows.map((row, t) => [t, ...row.map((v) => (v === null ? "" : percent(v)))]));
}

addSection("matrix", drawMatrix, ["focus"]);
