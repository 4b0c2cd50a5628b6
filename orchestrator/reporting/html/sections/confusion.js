// Confusion in the order of sessions. A place is a class if all chains have the same class order.

const confusionOf = () => DATA.confusion[focused().name];

function confusionMatrix(session) {
  const places = session.totals.length;
  const z = session.totals.map((total) => session.totals.map(() => (total ? 0 : null)));
  const clips = session.totals.map(() => session.totals.map(() => 0));
  let at = -1;
  for (let k = 0; k < session.cells.length; k += 2) {
    at += session.cells[k];
    const row = Math.floor(at / places), column = at % places;
    clips[row][column] = session.cells[k + 1];
    z[row][column] = (100 * session.cells[k + 1]) / session.totals[row];
  }
  return { z, clips };
}

// Lines where sessions begin, and a frame around the newest classes, unless all are of one session.
function sessionLines(begins, places) {
  const newest = begins.filter((begin) => begin < places).pop();
  const lines = begins.filter((begin) => begin > 0 && begin < places).flatMap((begin) => [
    { type: "line", x0: begin - 0.5, x1: begin - 0.5, y0: -0.5, y1: places - 0.5 },
    { type: "line", y0: begin - 0.5, y1: begin - 0.5, x0: -0.5, x1: places - 0.5 },
  ]).map((line) => ({ ...line, line: { color: css("--soft"), width: 1 } }));
  const frame = { type: "rect", x0: newest - 0.5, x1: places - 0.5, y0: -0.5, y1: places - 0.5, line: { color: css("--accent"), width: 2.5 } };
  return newest ? [...lines, frame] : [];
}

function drawRecency(session) {
  const recency = session && session.recency;
  $("recency").hidden = !recency || recency.mean === null;
  if ($("recency").hidden) return;
  const [number, text] = $("recency").children;
  const interval = recency.low === null ? "" : ` (95 % interval ${percent(recency.low)} to ${percent(recency.high)}, n ${recency.n})`;
  number.textContent = `${percent(recency.mean)} %`;
  text.textContent = `of the errors after session ${state.session} go to the newest classes${interval}; ${percent(session.expected)} % would be expected if errors had no preference.`;
}

function drawConfusion() {
  const { begins, labels, heads } = confusionOf();
  const session = heads[headOf(focused()) || focused().head][state.session];
  drawRecency(session);
  const places = session ? session.totals.length : 0;
  const ends = [...begins.slice(1), labels.length];
  const sessionAt = (place) => begins.findLastIndex((begin) => begin <= place);
  const nameOf = (place) => (labels[place] === null ? `class ${place - begins[sessionAt(place)] + 1}` : classNames()[labels[place]]);
  const named = session ? Array.from({ length: places }, (_, place) => nameOf(place)) : [];
  const few = places <= (narrow() ? 12 : 45) && labels.every((label) => label !== null);
  const middles = begins.map((begin, t) => (begin + ends[t] - 1) / 2).filter((_, t) => ends[t] > begins[t] && begins[t] < places);
  const axis = few
    ? { tickvals: named.map((_, i) => i), ticktext: named.map((name) => safe(short(name, 16))) }
    : { tickvals: middles, ticktext: middles.map((middle) => String(sessionAt(middle))) };
  const edge = 0.5 + places / 200; // room for the frame
  const of = few ? "class" : "class, by session";
  const { z, clips } = session ? confusionMatrix(session) : {};
  const hover = named.map((a, i) => named.map((b, j) => [safe(a), sessionAt(i), safe(b), sessionAt(j), clips[i][j]]));
  const traces = session && session.totals.some(Boolean)
    ? [heat(z, null, "true %{customdata[0]} (session %{customdata[1]})<br>predicted %{customdata[2]} (session %{customdata[3]})<br>%{z:.1f} %, %{customdata[4]} clips", { customdata: hover, xgap: places > 60 ? 0 : 1, ygap: places > 60 ? 0 : 1 })]
    : [];
  draw("confusion", traces, {
    height: narrow() ? Math.min(window.innerWidth, 460) : Math.min(760, Math.max(340, 150 + 22 * places)), margin: { l: 60, r: 12, t: 8, b: 60 },
    xaxis: { ...axis, showgrid: false, zeroline: false, tickfont: { size: 11 }, title: { text: `predicted ${of}` }, tickangle: few ? -60 : 0, range: [-edge, places - 1 + edge] },
    yaxis: { ...axis, showgrid: false, zeroline: false, tickfont: { size: 11 }, title: { text: `true ${of}` }, range: [places - 1 + edge, -edge] },
    shapes: sessionLines(begins, places),
  }, DATA.left_out.length ? "Left out to keep the page small, see the definitions; or not finished." : "This method has not finished this session.");
  $("note-confusion").textContent = [
    labels.every((label) => label !== null) ? "" : "Chains have different class orders: places are summed, not classes.",
    session && session.omitted ? `${session.omitted} clips in the smallest cells are not drawn.` : "",
  ].join(" ").trim();
  const wrong = session ? session.frequent : [];
  table("confusion", `The ${wrong.length} most frequent confusions after session ${state.session}`, ["true class", "predicted class", "% of its clips", "clips"],
    wrong.map(([i, j, n, total]) => [classNames()[i], classNames()[j], percent(n / total), `${n} of ${total}`]));
}

addSection("confusion", drawConfusion, ["focus", "session"]);
