// The map: clips by the two principal components of their embeddings.

const mapOf = () => DATA.map.methods[focused().name];
const LATER = -1; // session of classes that the chain has not learned yet

function mapTraces(map, { predictions, sessions }) {
  const labels = [...new Set(map.labels)].sort((a, b) => a - b);
  const byClass = new Map(labels.map((label, k) => [label, k]));
  const bySession = state["map-colour"] === "session";
  const learnedIn = (label) => sessions[label] ?? LATER;
  const indexOf = (label) => (bySession ? learnedIn(label) : byClass.get(label));
  const paint = (label) => (indexOf(label) === LATER ? css("--soft") : DATA.map.colours[indexOf(label) % DATA.map.colours.length]);
  const shape = (label) => DATA.map.symbols[Math.floor(Math.max(0, indexOf(label)) / DATA.map.colours.length) % DATA.map.symbols.length];
  const name = (label) => safe(classNames()[label]);
  const wrong = (i) => predictions[i] !== null && predictions[i] !== map.labels[i];
  const groups = bySession ? [...new Set(labels.map(learnedIn))].sort((a, b) => a - b) : labels;
  const of = (label) => (bySession ? learnedIn(label) : label);
  const title = (group) => (!bySession ? short(name(group), 20) : group === LATER ? "not learned yet" : `session ${group}`);
  const legend = groups.length <= 12;
  const points = groups.map((group) => {
    const indices = map.labels.map((_, i) => i).filter((i) => of(map.labels[i]) === group).sort((a, b) => wrong(a) - wrong(b)); // the legend shows the first
    return {
      type: "scatter", mode: "markers", name: title(group), showlegend: legend,
      x: indices.map((i) => map.x[i]), y: indices.map((i) => map.y[i]),
      marker: { size: 7, opacity: 0.85, color: paint(map.labels[indices[0]]), symbol: indices.map((i) => shape(map.labels[i]) + (wrong(i) ? "-open" : "")), line: { width: 1.5, color: paint(map.labels[indices[0]]) } },
      customdata: indices.map((i) => [safe(map.clips[i]), name(map.labels[i]), predictions[i] === null ? "-" : name(predictions[i]), i, safe(map.sources ? map.sources[i] : "")]),
      hovertemplate: `<b>%{customdata[1]}</b> %{customdata[0]}<br>predicted %{customdata[2]}${map.sources ? "<br>from %{customdata[4]}" : ""}<extra></extra>`,
    };
  });
  const prototypes = {
    type: "scatter", mode: "markers", name: "prototype", showlegend: legend && map.prototypes.length > 0,
    x: map.prototypes.map(([, x]) => x), y: map.prototypes.map(([, , y]) => y),
    marker: { size: 15, symbol: "star", color: map.prototypes.map(([label]) => (byClass.has(label) ? paint(label) : css("--soft"))), line: { width: 1.5, color: css("--ink") } },
    customdata: map.prototypes.map(([label]) => name(label)), hovertemplate: "prototype of <b>%{customdata}</b><extra></extra>",
  };
  return [...points, prototypes];
}

function pickClip(event) {
  const data = event.points[0].customdata;
  if (!Array.isArray(data)) return;
  const { map: index, predictions } = mapOf(), map = DATA.map.maps[index], i = data[3];
  const clips = DATA.listening ? DATA.listening.clips : [];
  const found = clips.findIndex((clip) => clip.name === map.clips[i] && clip.audio);
  const picked = element("div", "", "picked");
  picked.id = "map-picked";
  const text = `${classNames()[map.labels[i]]}, clip ${map.clips[i]}, predicted ${predictions[i] === null ? "-" : classNames()[predictions[i]]}`;
  if (found >= 0) {
    const button = element("button", "▶", "play"), head = element("span");
    button.type = "button";
    button.setAttribute("aria-label", `Play ${clips[found].name}`);
    button.addEventListener("click", () => play(button, head, clips[found].audio));
    picked.append(button, head, element("span", text));
    play(button, head, clips[found].audio);
  } else picked.append(element("span", `${text}: not in this file`));
  $("map-picked")?.remove();
  $("chart-map").after(picked);
}

function drawMap() {
  const own = mapOf(), map = own && DATA.map.maps[own.map];
  $("map-picked")?.remove();
  draw("map", map ? mapTraces(map, own) : [], {
    height: narrow() ? 380 : 560, margin: { l: 12, r: 12, t: 12, b: 40 }, showlegend: true,
    legend: { orientation: "h", y: -0.08, font: { size: 12, color: css("--soft") } },
    xaxis: { visible: false, scaleanchor: "y" }, yaxis: { visible: false },
  }, "The store has no embeddings of whole clips for this method.");
  $("note-map").textContent = map ? `${map.clips.length} of ${map.total} test clips, chain ${own.seeds}. The two components explain ${percent(map.explained[0])} % and ${percent(map.explained[1])} % of the variance.` : "";
  table("map", "Clips of the map", ["clip", "class", "predicted", ...(map?.sources ? ["source"] : [])],
    map ? map.clips.map((clip, i) => [clip, classNames()[map.labels[i]], own.predictions[i] === null ? "-" : classNames()[own.predictions[i]], ...(map.sources ? [map.sources[i]] : [])]) : []);
  const chart = $("chart-map");
  chart.removeAllListeners?.("plotly_click");
  if (map) chart.on("plotly_click", pickClip);
}

addControl("map-colour", "session");
addSection("map", drawMap, ["focus", "map-colour"]);
