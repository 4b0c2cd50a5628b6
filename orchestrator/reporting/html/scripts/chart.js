// Drawing a chart and its table.

const none = "No data: no method is followed, or no followed method has this head or a finished session.";
const SELECTABLE = matchMedia("(pointer: fine)"); // with a mouse, dragging zooms; on a touch screen it scrolls the page

// With a distance to the tick labels, Plotly reserves space for the title instead of drawing it over them.
const spaced = (axis, distance) => (axis.title ? { ...axis, title: { standoff: distance, ...axis.title } } : axis);
const percentAxis = (text, range) => ({ title: { text }, ticksuffix: " %", ...(range ? { range } : {}) });

const FITTED = new WeakMap(); // chart -> the ranges that its section asked for

function layout(more = {}) {
  const axis = { gridcolor: css("--grid"), zerolinecolor: css("--line"), linecolor: css("--line"), automargin: true };
  const { xaxis = {}, yaxis = {}, ...rest } = more;
  return {
    font: { family: "system-ui, sans-serif", size: 13, color: css("--soft") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 52, r: 12, t: 12, b: 54 },
    height: narrow() ? 300 : 400, showlegend: false, hovermode: "closest", dragmode: SELECTABLE.matches ? "zoom" : false,
    uirevision: `${state.head} ${state.measure} ${state.focus}`, // a zoom is kept until something else is drawn
    hoverlabel: { bgcolor: css("--paper"), bordercolor: css("--soft"), font: { color: css("--ink"), size: 13 }, align: "left" },
    xaxis: { ...axis, ...spaced(xaxis, 10) }, yaxis: { ...axis, ...spaced(yaxis, 14) }, ...rest,
  };
}

function draw(id, traces, more, reason) {
  const chart = $("chart-" + id);
  const empty = (chart.hidden = traces.length === 0);
  const section = chart.closest("section");
  $("empty-" + id).hidden = !empty;
  $("empty-" + id).textContent = reason || "";
  section.querySelectorAll("details.table, .tools").forEach((element) => { element.hidden = empty; });
  if (empty) return Plotly.purge(chart);
  const full = layout(more);
  FITTED.set(chart, Object.fromEntries(["xaxis", "yaxis"].map((name) => [name, { range: full[name].range?.slice(), autorange: full[name].autorange ?? true }])));
  Plotly.react(chart, traces, full, { displayModeBar: false, responsive: true, doubleClick: "reset" });
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
