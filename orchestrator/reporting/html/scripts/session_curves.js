// Curves over the sessions: lines, bands, axes and the labels at their ends.

// A number format, as otherwise %{x} is the text of the tick, which has two lines.
const SESSION = "session %{x:.0f}";
const sessionsAxis = () => ({ title: { text: `session (classes ${DATA.counted})` }, tickvals: DATA.seen.map((_, t) => t), ticktext: ticks(), range: [-0.15, DATA.planned_sessions - 0.85] });
const ticks = () => DATA.seen.map((seen, t) => (seen === null ? String(t) : `${t}<br>(${seen})`));

// Moves values apart by the least squares until they are at least `gap` apart: values that touch form a block around
// their mean, and blocks that touch are merged (pool adjacent violators).
function spread(values, gap) {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
  const blocks = [];
  const mean = (block) => block.sum / block.count;
  order.forEach((index, rank) => {
    blocks.push({ sum: values[index] - rank * gap, count: 1 });
    while (blocks.length > 1 && mean(blocks.at(-2)) > mean(blocks.at(-1))) {
      const last = blocks.pop();
      blocks.at(-1).sum += last.sum;
      blocks.at(-1).count += last.count;
    }
  });
  const starts = blocks.flatMap((block) => Array(block.count).fill(mean(block)));
  const places = [];
  order.forEach((index, rank) => { places[index] = starts[rank] + rank * gap; });
  return places;
}

// Labels beside the ends of curves, each joined to its end by a thin line.
// ends: { text, colour, x, y }; range: of the axis; height: of the chart in pixels.
function endLabels(ends, [low, high], height) {
  const inside = ends.filter((end) => end.y >= low && end.y <= high);
  const places = spread(inside.map((end) => end.y), ((high - low) * 17) / (height - 66));
  const edge = DATA.planned_sessions - 0.85;
  return inside.map((end, i) => ({
    x: end.x, y: end.y, ax: edge + 0.02 * DATA.planned_sessions, ay: places[i], axref: "x", ayref: "y", xanchor: "left", align: "left",
    showarrow: true, arrowhead: 0, arrowwidth: 1, arrowcolor: end.colour + "99", standoff: 5,
    text: safe(short(end.text, LONG_NAMES ? 26 : 18)), font: { color: css("--ink"), size: 13 },
  }));
}

function endsOf(methods, series) {
  return methods.map((method) => {
    const values = series(method);
    const x = values.findLastIndex((v) => v.mean !== null);
    return { text: label(method), colour: method.colour, x, y: hundred(values[x].mean) };
  });
}

const labelMargin = () => ({ l: 52, r: narrow() ? 12 : LONG_NAMES ? 200 : 140, t: 12, b: 54 });

function curve(method, values, extra = {}) {
  return {
    type: "scatter", mode: "lines+markers", x: values.map((_, t) => t), y: values.map((v) => hundred(v.mean)), name: safe(label(method)),
    line: { color: method.colour, width: 2.4, dash: method.dash }, marker: marker(method),
    customdata: values.map((v) => [percent(v.low), percent(v.high), v.n]),
    hovertemplate: `<b>${safe(label(method))}</b><br>${SESSION}: %{y:.1f} %<br>95 % interval %{customdata[0]} to %{customdata[1]}, n %{customdata[2]}<extra></extra>`,
    ...extra,
  };
}

// A method that is not followed: thin, behind the others, without a label; hovering names it.
function faintCurve(method, values) {
  return curve(method, values, { meta: "faint", opacity: 0.3, line: { color: method.colour, width: 1.2, dash: method.dash }, marker: marker(method, { size: 4 }) });
}

function band(method, values, opacity) {
  const defined = values.map((v, t) => ({ ...v, t })).filter((v) => v.low !== null);
  return {
    type: "scatter", mode: "lines", fill: "toself", hoverinfo: "skip", line: { width: 0 }, fillcolor: method.colour, opacity,
    x: [...defined.map((v) => v.t), ...defined.map((v) => v.t).reverse()],
    y: [...defined.map((v) => hundred(v.high)), ...defined.map((v) => hundred(v.low)).reverse()],
  };
}

// The range of an axis that fits the means: intervals of few chains would leave little room for the curves.
function span(values) {
  const means = values.flat().map((v) => v.mean).filter((v) => v !== null).map((v) => 100 * v);
  const low = Math.min(...means), high = Math.max(...means), room = Math.max(2, (high - low) * 0.08);
  return [Math.max(-2, low - room), Math.min(102, high + room)];
}
