// Mistakes with their clips. A clip is decoded when it comes into view.

const decoded = new Map(); // index of the clip -> promise of its samples

function samplesOf(index) {
  const { audio, rate } = DATA.listening.clips[index];
  if (!decoded.has(index)) {
    const bytes = Uint8Array.from(atob(audio.slice(audio.indexOf(",") + 1)), (character) => character.charCodeAt(0));
    decoded.set(index, new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes.buffer).then((sound) => sound.getChannelData(0)));
  }
  return decoded.get(index);
}

const inView = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
  inView.unobserve(target);
  const index = Number(target.dataset.clip), { name, rate } = DATA.listening.clips[index];
  samplesOf(index).then((samples) => {
    drawSpectrogram(target, samples, rate);
    target.setAttribute("aria-label", `Spectrogram of ${name}: ${(samples.length / rate).toFixed(1)} s, 0 to ${rate / 2} Hz on a mel scale`);
    target.dataset.drawn = "yes";
  }, () => { target.hidden = true; });
}), { rootMargin: "200px" });

function clipFigure(index, kind, className) {
  const figure = element("figure", "", "clip"), caption = element("figcaption"), text = element("span", kind + " ");
  const clip = index === null ? null : DATA.listening.clips[index];
  text.append(element("b", className));
  if (clip) text.append(element("small", clip.name));
  if (clip && clip.audio) {
    const button = element("button", "▶", "play"), sound = element("div", "", "sound"), canvas = element("canvas"), head = element("div", "", "head");
    button.type = "button";
    button.setAttribute("aria-label", `Play ${clip.name} (${className})`);
    button.setAttribute("aria-pressed", "false");
    head.hidden = true;
    canvas.dataset.clip = index;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Spectrogram of ${clip.name}`);
    button.addEventListener("click", () => play(button, head, clip.audio));
    caption.append(button);
    sound.append(canvas, head);
    figure.append(caption, sound);
    inView.observe(canvas);
  } else figure.append(caption);
  caption.append(text);
  return figure;
}

function mistakeItem(row) {
  const item = element("li"), what = element("p", "", "what"), two = element("div", "", "two");
  const chains = `${row.chains} chain${row.chains === 1 ? "" : "s"}`;
  const facts = [
    row.clips ? `${row.clips} of ${row.total} (${percent(row.clips / row.total)} %)` : "",
    `this clip: ${chains}${row.confidence === null ? "" : `, confidence ${percent(row.confidence)} %`}, seeds ${row.seeds}`,
  ].filter(Boolean);
  what.append(element("b", row.class), " taken for ", element("b", row.predicted), element("span", ` · ${facts.join(" · ")}`));
  two.append(clipFigure(row.clip, "clip of", row.class), clipFigure(row.heard, "support of", row.predicted));
  item.append(what, two);
  return item;
}

function drawListening() {
  playing.stop();
  inView.disconnect();
  for (const kind of ["confusions", "mistakes"]) {
    const rows = DATA.listening[kind][focused().name];
    $("listening-" + kind).replaceChildren(...rows.map(mistakeItem));
    $("h-" + kind).hidden = rows.length === 0;
  }
  $("empty-listening").hidden = !$("h-confusions").hidden || !$("h-mistakes").hidden;
}

addSection("listening", drawListening, ["focus"]);
