// Curves over the sessions: lines, bands, axes and the labels at their ends.

// Labels at the ends of curves, moved apart where they would overlap.
function endLabels(ends, low, high, gap) {
  const labels = ends.slice().sort((a, b) => a.y - b.y);
  for (let round = 0; round < 50; round++) {
    labels.forEach((lower, i) => {
      const upper = labels[i + 1];
      if (upper && upper.y - lower.y < gap) { const half = (gap - upper.y + lower.y) / 2; lower.y -= half; upper.y += half; }
    });
    labels.forEach((end) => { end.y = Math.min(high, Math.max(low, end.y)); });
  }
  return labels.map((end) => ({
    x: 1, xref: "paper", xanchor: "left", xshift: 8, y: end.y, yanchor: "middle", showarrow: false, align: "left",
    text: safe(short(end.text, LONG_NAMES ? 26 : 18)), font: { color: end.colour, size: 13 },
  }));
}

function curve(method, values, extra = {}) {
  return {
    type: "scatter", mode: "lines+markers", x: values.map((_, t) => t), y: values.map((v) => hundred(v.mean)), name: safe(label(method)),
    line: { color: colour(method), width: 2.4, dash: dash(method) }, marker: { symbol: symbol(method), size: 8, color: colour(method) },
    customdata: values.map((v) => [percent(v.low), percent(v.high), v.n]),
    hovertemplate: `<b>${safe(label(method))}</b><br>session %{x}: %{y:.1f} %<br>95 % interval %{customdata[0]} to %{customdata[1]}, n %{customdata[2]}<extra></extra>`,
    ...extra,
  };
}

function band(method, values) {
  const defined = values.map((v, t) => ({ ...v, t })).filter((v) => v.low !== null);
  return {
    type: "scatter", mode: "lines", fill: "toself", hoverinfo: "skip", line: { width: 0 }, fillcolor: colour(method) + "2b",
    x: [...defined.map((v) => v.t), ...defined.map((v) => v.t).reverse()],
    y: [...defined.map((v) => hundred(v.high)), ...defined.map((v) => hundred(v.low)).reverse()],
  };
}

const sessionsAxis = () => ({ title: { text: `session (classes ${DATA.counted})` }, tickvals: DATA.seen.map((_, t) => t), ticktext: ticks(), range: [-0.15, DATA.planned_sessions - 0.85] });
const ticks = () => DATA.seen.map((seen, t) => (seen === null ? String(t) : `${t}<br>(${seen})`));

function span(methods, series) {
  const all = methods.flatMap((m) => series(m).flatMap((v) => [v.mean, v.low, v.high])).filter((v) => v !== null).map((v) => 100 * v);
  const low = Math.min(...all), high = Math.max(...all), room = Math.max(3, (high - low) * 0.06);
  return [Math.max(-2, low - room), Math.min(102, high + room)];
}
