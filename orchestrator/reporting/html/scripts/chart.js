// Drawing a chart and its table.

const none = "No data: no method is selected, or no selected method has this head or a finished session.";
// With a distance to the tick labels, Plotly reserves space for the title instead of drawing it over them.
const spaced = (axis, distance) => (axis.title ? { ...axis, title: { standoff: distance, ...axis.title } } : axis);

function layout(more = {}) {
  const axis = { gridcolor: css("--grid"), zerolinecolor: css("--line"), linecolor: css("--line"), fixedrange: true, automargin: true };
  const { xaxis = {}, yaxis = {}, ...rest } = more;
  return {
    font: { family: "system-ui, sans-serif", size: 13, color: css("--soft") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 52, r: narrow() ? 12 : LONG_NAMES ? 190 : 130, t: 12, b: 54 },
    height: narrow() ? 300 : 400, showlegend: false, hovermode: "closest", dragmode: false,
    hoverlabel: { bgcolor: css("--paper"), bordercolor: css("--soft"), font: { color: css("--ink"), size: 13 }, align: "left" },
    xaxis: { ...axis, ...spaced(xaxis, 10) }, yaxis: { ...axis, ...spaced(yaxis, 14) }, ...rest,
  };
}

function draw(id, traces, more, reason) {
  const chart = $("chart-" + id);
  const empty = (chart.hidden = traces.length === 0);
  $("empty-" + id).hidden = !empty;
  $("empty-" + id).textContent = reason || "";
  chart.closest("section").querySelector("details.table").hidden = empty;
  if (empty) Plotly.purge(chart);
  else Plotly.react(chart, traces, layout(more), { displayModeBar: false, responsive: true });
}

function table(id, caption, header, rows) {
  const element = $("table-" + id);
  const line = (cells, tag) => {
    const row = document.createElement("tr");
    cells.forEach((cell, column) => {
      const element = document.createElement(column === 0 || tag === "th" ? "th" : "td");
      element.scope = tag === "th" ? "col" : "row";
      if (tag === "td" && column) { element.removeAttribute("scope"); element.className = "number"; }
      element.textContent = cell;
      row.append(element);
    });
    return row;
  };
  const title = document.createElement("caption");
  title.textContent = caption;
  const [head, body] = ["thead", "tbody"].map((name) => document.createElement(name));
  head.append(line(header, "th"));
  body.append(...rows.map((row) => line(row, "td")));
  element.replaceChildren(title, head, body);
}

const percentAxis = (text, range) => ({ title: { text }, ticksuffix: " %", ...(range ? { range } : {}) });
