function drawClasses() {
  const row = focusedHead().classes[state.session] || [];
  const bars = row.map((v, c) => ({ v, c })).filter((bar) => bar.v !== null).sort((a, b) => b.v - a.v || a.c - b.c);
  draw("classes", bars.length ? [{
    type: "bar", orientation: "h", x: bars.map((bar) => 100 * bar.v), y: bars.map((_, i) => i), marker: { color: colour(focused()) },
    customdata: bars.map((bar) => [safe(classNames()[bar.c]), sessionOf(bar.c)]),
    hovertemplate: "<b>%{customdata[0]}</b>: %{x:.1f} %<br>session %{customdata[1]}<extra></extra>",
  }] : [], {
    height: 90 + 20 * bars.length, margin: { l: 60, r: 12, t: 8, b: 48 }, xaxis: { ...percentAxis("accuracy"), range: [0, 101], side: "bottom" },
    yaxis: { tickvals: bars.map((_, i) => i), ticktext: bars.map((bar) => safe(short(classNames()[bar.c]))), range: [-0.6, bars.length - 0.4], showgrid: false },
  }, "This method has not finished this session.");
  table("classes", `Accuracy after session ${state.session} (%)`, ["class", "session", "accuracy"], bars.slice().reverse().map((bar) => [classNames()[bar.c], sessionOf(bar.c), percent(bar.v)]));
}

addSection("classes", drawClasses, ["focus", "session"]);
