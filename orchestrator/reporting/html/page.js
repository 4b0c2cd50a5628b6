"use strict";
// The state is in the URL fragment (#head=linear&off=icarl): a link reproduces the view, and a live page keeps it.

const DATA = JSON.parse(document.getElementById("data").textContent);
const ROOT = document.documentElement;
const $ = (id) => document.getElementById(id);
const COLOURS = DATA.palette;
const DASHES = ["solid", "dash", "dot", "dashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-down", "triangle-up", "pentagon", "x"];
const state = { off: new Set(), head: "", measure: "micro", focus: "", session: DATA.sessions - 1, theme: "" };

// --- text: Plotly interprets some HTML in labels, so names are escaped for it; everything else uses textContent

const safe = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const short = (text, length = 24) => (String(text).length > length ? String(text).slice(0, length - 1) + "…" : String(text));
const percent = (value) => (value === null || value === undefined ? "-" : (100 * value).toFixed(1));
const hundred = (value) => (value === null || value === undefined ? null : 100 * value);
const css = (name) => getComputedStyle(ROOT).getPropertyValue(name).trim();
const narrow = () => window.innerWidth < 640;

// --- selection

const shown = () => DATA.methods.filter((method) => !state.off.has(method.name) && headOf(method));
const headOf = (method) => (state.head ? (method.heads[state.head] ? state.head : null) : method.head);
const result = (method) => method.heads[headOf(method)];
const colour = (method) => COLOURS[method.colour % COLOURS.length];
const dash = (method) => DASHES[Math.floor(method.colour / COLOURS.length) % DASHES.length];
const symbol = (method) => SYMBOLS[method.colour % SYMBOLS.length];
const LONG_NAMES = DATA.several_backbones || DATA.several_protocols || DATA.has_transductive;
const named = (method) => method.name + (method.track === "transductive" ? " (transductive)" : "");
const label = (method) => named(method) + (state.head || headOf(method) === method.head ? "" : ` (${headOf(method)})`);
const focused = () => DATA.methods.find((method) => method.name === state.focus) || DATA.methods[0];
const focusedHead = () => focused().heads[headOf(focused()) || focused().head];
const classNames = () => focused().classes || DATA.classes;
const ticks = () => DATA.seen.map((seen, t) => (seen === null ? String(t) : `${t}<br>(${seen})`));

// --- drawing

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

const sessionsAxis = () => ({ title: { text: `session (classes ${DATA.counted})` }, tickvals: DATA.seen.map((_, t) => t), ticktext: ticks(), range: [-0.15, DATA.sessions - 0.85] });
const percentAxis = (text, range) => ({ title: { text }, ticksuffix: " %", ...(range ? { range } : {}) });
const none = "No data: no method is selected, or no selected method has this head or a finished session.";

function span(methods, series) {
  const all = methods.flatMap((m) => series(m).flatMap((v) => [v.mean, v.low, v.high])).filter((v) => v !== null).map((v) => 100 * v);
  const low = Math.min(...all), high = Math.max(...all), room = Math.max(3, (high - low) * 0.06);
  return [Math.max(-2, low - room), Math.min(102, high + room)];
}

function drawCurves() {
  const series = (method) => result(method).sessions[state.measure];
  const methods = shown().filter((method) => series(method).some((v) => v.mean !== null));
  const traces = [...methods.map((m) => band(m, series(m))), ...methods.map((m) => curve(m, series(m)))];
  let [low, high] = methods.length ? span(methods, series) : [0, 100];
  const limits = methods.length && DATA.ceilings && state.measure === "micro" ? DATA.ceilings.values : null;
  if (limits && limits.some((value) => value < 1)) {
    traces.push({
      type: "scatter", mode: "lines", x: limits.map((_, t) => t), y: limits.map(hundred), line: { color: css("--soft"), width: 1.5, dash: "dot" },
      hovertemplate: "no classifier can exceed %{y:.1f} %<extra></extra>",
    });
    high = 103;
  }
  const ends = methods.map((m) => ({ text: label(m), colour: colour(m), y: hundred(series(m).map((v) => v.mean).filter((v) => v !== null).pop()) }));
  if (limits && limits.some((value) => value < 1)) ends.push({ text: "ceiling", colour: css("--soft"), y: hundred(limits[limits.length - 1]) });
  draw("curves", traces, {
    xaxis: sessionsAxis(), yaxis: percentAxis(state.measure === "unknown_auroc" ? "AUROC" : "accuracy", [low, high]),
    annotations: narrow() ? [] : endLabels(ends, low, high, (high - low) * 0.055),
  }, none);
  $("note-curves").textContent = limits && limits.some((value) => value < 1) ? `${DATA.ceilings.labels} labels share test clips with other labels; no classifier can exceed the dotted line.` : "";
  const unknown = state.measure === "unknown_auroc";
  table("curves", `${unknown ? "AUROC of the unknown score" : "Accuracy on test clips"}, mean [95 % interval] (%)`, ["method", ...DATA.seen.map((_, t) => (unknown ? `session ${t}` : `A_${t}`))],
    methods.map((m) => [label(m), ...series(m).map((v) => (v.low === null ? percent(v.mean) : `${percent(v.mean)} [${percent(v.low)}, ${percent(v.high)}]`))]));
}

function drawSides() {
  const methods = shown().filter((m) => result(m).sessions.novel.some((v) => v.mean !== null));
  const traces = methods.flatMap((m) => [
    curve(m, result(m).sessions.base, { hovertemplate: `<b>${safe(label(m))}</b>, base classes<br>session %{x}: %{y:.1f} %<extra></extra>` }),
    curve(m, result(m).sessions.novel, {
      line: { color: colour(m), width: 1.6, dash: "dot" }, marker: { symbol: symbol(m) + "-open", size: 8, color: colour(m) },
      hovertemplate: `<b>${safe(label(m))}</b>, novel classes<br>session %{x}: %{y:.1f} %<extra></extra>`,
    }),
  ]);
  draw("sides", traces, { xaxis: sessionsAxis(), yaxis: percentAxis("accuracy", [-3, 103]) }, DATA.sessions < 2 ? "With one session, all classes are base classes." : none);
  table("sides", "Base / novel accuracy (%)", ["method", ...DATA.seen.map((_, t) => `session ${t}`)],
    methods.map((m) => [label(m), ...result(m).sessions.base.map((v, t) => `${percent(v.mean)} / ${percent(result(m).sessions.novel[t].mean)}`)]));
}

function drawForgetting() {
  const methods = shown().filter((m) => result(m).forgetting.some((v) => v.mean !== null));
  const traces = methods.map((m) => ({
    type: "bar", name: safe(label(m)), x: result(m).forgetting.map((_, j) => j), y: result(m).forgetting.map((v) => hundred(v.mean)), marker: { color: colour(m) },
    error_y: { type: "data", symmetric: false, color: css("--soft"), thickness: 1.2, width: 3, array: result(m).forgetting.map((v) => hundred(v.high === null ? 0 : v.high - v.mean)), arrayminus: result(m).forgetting.map((v) => hundred(v.low === null ? 0 : v.mean - v.low)) },
    hovertemplate: `<b>${safe(label(m))}</b><br>classes of session %{x}: %{y:.1f} points<extra></extra>`,
  }));
  draw("forgetting", traces, { xaxis: { title: { text: "classes of session" }, dtick: 1 }, yaxis: { title: { text: "points lost" } } }, "No chain is complete yet, or there is only one session.");
  table("forgetting", "Points lost at the end", ["method", ...(methods[0] ? result(methods[0]).forgetting.map((_, j) => `session ${j}`) : []), "mean"],
    methods.map((m) => [label(m), ...result(m).forgetting.map((v) => percent(v.mean)), percent(result(m).chain.forgetting.mean)]));
}

const blues = () => (isDark() ? [[0, "#1b1e24"], [0.5, "#1f5f8b"], [1, "#8fd0f5"]] : [[0, "#f5f9fd"], [0.5, "#6fb1d8"], [1, "#00456f"]]);
const isDark = () => ROOT.dataset.theme === "dark" || (ROOT.dataset.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);

function heat(z, text, hover, more = {}) {
  return { type: "heatmap", z, text, texttemplate: text ? "%{text}" : undefined, textfont: { size: 12 }, hovertemplate: hover + "<extra></extra>", colorscale: blues(), zmin: 0, zmax: 100, showscale: false, xgap: 1, ygap: 1, hoverongaps: false, ...more };
}

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

// With several class orders a class does not belong to one session.
const order = () => (DATA.orders > 1 ? [] : DATA.session_classes.flat());
const sessionOf = (label) => (DATA.orders > 1 ? "differs" : DATA.session_classes.findIndex((labels) => labels.includes(label)));

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

function drawSeeds() {
  const methods = shown().filter((m) => result(m).chains.length).reverse();
  const traces = methods.flatMap((m, row) => [{
    type: "scatter", mode: "markers", x: result(m).chains.map((c) => hundred(c.aa)), y: result(m).chains.map(() => row), marker: { color: colour(m), symbol: symbol(m), size: 11, opacity: 0.75 },
    customdata: result(m).chains.map((c) => c.seeds.join(".")), hovertemplate: `<b>${safe(label(m))}</b><br>seeds %{customdata}: AA %{x:.1f} %<extra></extra>`,
  }]);
  draw("seeds", traces, {
    height: 110 + 38 * methods.length, margin: { l: 60, r: 12, t: 8, b: 48 }, xaxis: percentAxis("AA of a chain"),
    yaxis: { tickvals: methods.map((_, i) => i), ticktext: methods.map((m) => safe(short(label(m), 18))), range: [-0.6, methods.length - 0.4] },
  }, "No chain is complete yet.");
  const parts = (m) => (result(m).variance ? Object.entries(result(m).variance.shares).map(([name, share]) => `${name} ${percent(share)} %`).join(", ") : "unknown: the seeds change together, or there are too few");
  $("note-seeds").textContent = methods.slice().reverse().filter((m) => result(m).variance).map((m) => `Variance of ${label(m)}: ${parts(m)}.`).join(" ");
  table("seeds", "AA of each chain (seeds order.support.initialisation), and variance components", ["method", "std", "share of the variance", "chains"],
    methods.slice().reverse().map((m) => [label(m), percent(result(m).chain.aa.std), parts(m), result(m).chains.map((c) => `${c.seeds.join(".")}: ${percent(c.aa)}`).join("; ")]));
}

function drawImportance() {
  const rows = Object.entries(DATA.importance).filter(([name]) => !state.off.has(name)).flatMap(([name, shares]) => Object.entries(shares).map(([key, share]) => ({ method: DATA.methods.find((m) => m.name === name), key, share })));
  rows.sort((a, b) => a.share - b.share);
  draw("importance", rows.length ? [{
    type: "bar", orientation: "h", x: rows.map((r) => 100 * r.share), y: rows.map((_, i) => i), marker: { color: rows.map((r) => colour(r.method)) },
    customdata: rows.map((r) => [safe(r.method.name), safe(r.key)]), hovertemplate: "<b>%{customdata[0]}</b>, %{customdata[1]}: %{x:.0f} %<extra></extra>",
  }] : [], {
    height: 100 + 28 * rows.length, margin: { l: 60, r: 12, t: 8, b: 48 }, xaxis: { ...percentAxis("share of the differences"), range: [0, 101] },
    yaxis: { tickvals: rows.map((_, i) => i), ticktext: rows.map((r) => safe(`${r.method.name}: ${r.key}`)), range: [-0.6, rows.length - 0.4], showgrid: false },
  }, "No method has enough finished configurations with settings that differ.");
  table("importance", "Share of the differences in validation AA (%)", ["method", "hyperparameter", "share"], rows.slice().reverse().map((r) => [r.method.name, r.key, percent(r.share)]));
}

const settingText = (value) => (value === undefined ? "-" : typeof value === "object" ? JSON.stringify(value) : String(value));

function drawParallel() {
  const several = (name) => DATA.configurations.filter((c) => c.method === name && c.validation.mean !== null);
  const method = [focused(), ...shown()].find((m) => several(m.name).length > 1 && Object.keys(several(m.name)[0].varied).length);
  const rows = method ? several(method.name) : [];
  const keys = rows.length ? [...new Set(rows.flatMap((row) => Object.keys(row.varied)))] : [];
  const axes = keys.map((key) => {
    const values = rows.map((row) => row.varied[key]);
    if (!values.every((v) => typeof v === "number")) {
      const kinds = [...new Set(values.map((v) => JSON.stringify(v)))].sort();
      return { key, at: (v) => (kinds.length < 2 ? 0.5 : kinds.indexOf(JSON.stringify(v)) / (kinds.length - 1)), marks: kinds.map((k, i) => [kinds.length < 2 ? 0.5 : i / (kinds.length - 1), k]) };
    }
    const low = Math.min(...values), high = Math.max(...values), log = low > 0 && high / low > 20;
    const f = log ? Math.log : (v) => v;
    return { key, at: (v) => (high === low ? 0.5 : (f(v) - f(low)) / (f(high) - f(low))), marks: high === low ? [[0.5, low]] : [[0, Number(low.toPrecision(3))], [1, Number(high.toPrecision(3))]] };
  });
  const accuracies = rows.map((row) => row.validation.mean);
  const low = Math.min(...accuracies), high = Math.max(...accuracies);
  const level = (v) => (high === low ? 1 : (v - low) / (high - low));
  const last = axes.length;
  const traces = rows.slice().sort((a, b) => a.validation.mean - b.validation.mean).map((row) => {
    const part = level(row.validation.mean);
    return {
      type: "scatter", mode: "lines+markers", x: [...axes.map((_, i) => i), last], y: [...axes.map((axis) => axis.at(row.varied[axis.key])), part],
      line: { color: colour(method), width: 1 + 2 * part }, marker: { size: 5, color: colour(method) }, opacity: 0.15 + 0.85 * part,
      hovertemplate: `<b>${safe(row.name)}</b><br>${axes.map((axis) => `${safe(axis.key)} ${safe(settingText(row.varied[axis.key]))}`).join("<br>")}<br>validation AA ${percent(row.validation.mean)} %<extra></extra>`,
    };
  });
  const marks = [...axes.map((axis) => axis.marks), [[0, percent(low) + " %"], [1, percent(high) + " %"]]];
  draw("parallel", keys.length ? traces : [], {
    margin: { l: 60, r: 70, t: 30, b: 48 },
    xaxis: { tickvals: [...axes.map((_, i) => i), last], ticktext: [...keys.map((key) => safe(short(key, 20))), "validation AA"], range: [-0.25, last + 0.35], showgrid: true, zeroline: false },
    yaxis: { visible: false, range: [-0.08, 1.08] },
    annotations: marks.flatMap((list, x) => list.map(([y, text]) => ({ x, y, text: safe(short(text, 14)), showarrow: false, xanchor: "left", xshift: 6, font: { size: 11, color: css("--soft") }, bgcolor: css("--paper") }))),
  }, "No method has several finished configurations with settings that differ.");
  table("parallel", method ? `Configurations of ${method.name}` : "", ["configuration", ...keys, "validation AA", "AA"],
    rows.slice().sort((a, b) => b.validation.mean - a.validation.mean).map((row) => [row.name, ...keys.map((key) => settingText(row.varied[key])), percent(row.validation.mean), percent(row.test.mean)]));
}

function drawPareto() {
  const pareto = DATA.pareto;
  $("pareto").hidden = !pareto;
  if (!pareto) return;
  const [vertical, horizontal] = pareto.objectives;
  const value = (candidate, k) => (candidate.values[k] === null ? null : (pareto.objectives[k].share ? 100 : 1) * candidate.values[k]);
  const methods = DATA.methods.filter((m) => !state.off.has(m.name));
  const traces = methods.flatMap((m) => [true, false].map((optimal) => {
    const candidates = pareto.candidates.filter((candidate) => candidate.method === m.name && candidate.optimal === optimal);
    return {
      type: "scatter", mode: "markers", x: candidates.map((c) => value(c, 1)), y: candidates.map((c) => value(c, 0)), customdata: candidates.map((c) => safe(c.configuration)),
      marker: { color: colour(m), size: 11, symbol: symbol(m) + (optimal ? "" : "-open") }, hovertemplate: `<b>%{customdata}</b><br>${vertical.title} %{y:.4g}<br>${horizontal.title} %{x:.4g}<extra></extra>`,
    };
  })).filter((trace) => trace.x.length);
  draw("pareto", traces, { xaxis: { title: { text: horizontal.title + (horizontal.share ? " (%)" : "") }, tickformat: horizontal.share ? "" : "~s" }, yaxis: { title: { text: vertical.title + (vertical.share ? " (%)" : "") } } }, "No configuration has finished all its seeds.");
  table("pareto", "The Pareto set of each method", ["method", "configuration", ...pareto.objectives.map((objective) => objective.title)],
    pareto.candidates.filter((c) => c.optimal).map((c) => [c.method, c.configuration, ...c.values.map((v, k) => (pareto.objectives[k].share ? percent(v) : String(v)))]));
}

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

function filterRows() {
  document.querySelectorAll("tr[data-method]").forEach((row) => {
    const other = state.head !== "" && row.dataset.head !== undefined && row.dataset.head !== state.head;
    row.hidden = state.off.has(row.dataset.method) || other;
  });
}

const DETAILS = [drawMatrix, drawClasses, drawConfusion];
const ALL = [filterRows, drawCurves, drawSides, drawForgetting, ...DETAILS, drawSeeds, drawImportance, drawParallel, drawPareto, drawCost];

// --- state and controls

function readState() {
  const params = new URLSearchParams(location.hash.slice(1));
  state.off = new Set(params.getAll("off"));
  const heads = [...$("head").options].map((option) => option.value);
  state.head = heads.includes(params.get("head")) ? params.get("head") : "";
  state.measure = [...$("measure").options].map((option) => option.value).includes(params.get("measure")) ? params.get("measure") : "micro";
  state.focus = DATA.methods.some((m) => m.name === params.get("focus")) ? params.get("focus") : [...DATA.methods].sort((a, b) => a.rank - b.rank)[0].name;
  const session = Number(params.get("session") ?? DATA.sessions - 1);
  state.session = Number.isInteger(session) && session >= 0 && session < DATA.sessions ? session : DATA.sessions - 1;
  state.theme = ["light", "dark"].includes(params.get("theme")) ? params.get("theme") : "";
  document.querySelectorAll("#methods input").forEach((box) => { box.checked = !state.off.has(box.value); });
  for (const id of ["head", "measure", "focus", "theme"]) $(id).value = state[id];
  $("session").value = state.session;
}

function writeState() {
  const params = new URLSearchParams();
  state.off.forEach((name) => params.append("off", name));
  for (const key of ["head", "theme"]) if (state[key]) params.set(key, state[key]);
  if (state.measure !== "micro") params.set("measure", state.measure);
  params.set("focus", state.focus);
  if (state.session !== DATA.sessions - 1) params.set("session", state.session);
  history.replaceState(null, "", "#" + params);
}

function show(drawings = ALL) {
  if (state.theme) ROOT.dataset.theme = state.theme;
  else delete ROOT.dataset.theme;
  const seen = DATA.seen[state.session];
  $("session-label").textContent = seen === null ? String(state.session) : `${state.session} (${seen} classes)`;
  drawings.forEach((drawing) => drawing());
}

function changed(drawings) { writeState(); show(drawings); }
$("methods").addEventListener("change", (event) => { state.off[event.target.checked ? "delete" : "add"](event.target.value); changed(); });
$("head").addEventListener("change", (event) => { state.head = event.target.value; changed(); });
$("measure").addEventListener("change", (event) => { state.measure = event.target.value; changed([drawCurves]); });
$("focus").addEventListener("change", (event) => { state.focus = event.target.value; changed([...DETAILS, drawParallel]); });
$("session").addEventListener("input", (event) => { state.session = Number(event.target.value); changed([drawClasses, drawConfusion]); });
$("theme").addEventListener("change", (event) => { state.theme = event.target.value; changed(); });
window.addEventListener("hashchange", () => { readState(); show(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show());
let width = window.innerWidth;
window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; show(); } });
window.addEventListener("beforeprint", () => { ROOT.dataset.theme = "light"; ALL.forEach((drawing) => drawing()); });
window.addEventListener("afterprint", () => show());

// A live page reloads itself, unless the reader is using a control or selecting text.
if (ROOT.dataset.live === "yes") {
  setInterval(() => {
    const busy = document.activeElement.matches("select, input[type=range]") || String(getSelection());
    if (document.hidden || busy) return;
    const open = [...document.querySelectorAll("details[open]")].map((element) => element.closest("section").id);
    sessionStorage.setItem("open", JSON.stringify(open));
    location.reload();
  }, Number(ROOT.dataset.reload) * 1000);
}

for (const id of JSON.parse(sessionStorage.getItem("open") || "[]")) $(id)?.querySelector("details")?.setAttribute("open", "");
sessionStorage.removeItem("open");
readState();
show();
ROOT.dataset.ready = "yes";
