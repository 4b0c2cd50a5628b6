// Zoom and download of a chart, by buttons, so that both work with the keyboard and on a touch screen.

function zoom(chart, factor) {
  const full = chart._fullLayout;
  const changes = {};
  for (const name of ["xaxis", "yaxis"]) {
    const [low, high] = full[name].range;
    const middle = (low + high) / 2, half = ((high - low) / 2) * factor;
    changes[`${name}.range`] = [middle - half, middle + half];
  }
  Plotly.relayout(chart, changes);
}

// The picture is that of the light theme on white, whatever the theme of the page, with the title of the section.
async function download(id, format) {
  const chart = $("chart-" + id), title = $("h-" + id).textContent;
  const theme = ROOT.dataset.theme;
  ROOT.dataset.theme = "light";
  SECTIONS.find((section) => section.name === id).draw();
  const spec = { data: chart.data, layout: { ...chart.layout, paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff" } };
  spec.layout.margin = { ...spec.layout.margin, t: 54 };
  spec.layout.height = chart.offsetHeight + 42;
  for (const name of ["xaxis", "yaxis"]) spec.layout[name] = { ...spec.layout[name], range: [...chart._fullLayout[name].range] };
  spec.layout.title = { text: `<b>${safe(title)}</b><br><sub>${safe(DATA.name)} · ${safe(DATA.protocol)}</sub>`, x: 0.02, xanchor: "left", font: { size: 16, color: css("--ink") } };
  const picture = await Plotly.toImage(spec, { format, width: chart.offsetWidth, height: spec.layout.height, scale: format === "png" ? 2 : 1 });
  if (theme) ROOT.dataset.theme = theme;
  else delete ROOT.dataset.theme;
  show();
  const link = document.createElement("a");
  link.href = picture;
  link.download = `${DATA.name}-${id}.${format}`.replace(/[^A-Za-z0-9._-]+/g, "_");
  link.click();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-tool]");
  if (!button) return;
  const id = button.closest(".tools").dataset.chart, tool = button.dataset.tool;
  if (tool === "in") zoom($("chart-" + id), 0.7);
  else if (tool === "out") zoom($("chart-" + id), 1 / 0.7);
  else if (tool === "reset") Plotly.relayout($("chart-" + id), fitted($("chart-" + id)));
  else download(id, tool);
});

// The ranges that the section asked for, or those that fit.
function fitted(chart) {
  return Object.fromEntries(Object.entries(FITTED.get(chart)).map(([name, { range, autorange }]) => (range ? [`${name}.range`, [...range]] : [`${name}.autorange`, autorange])));
}
