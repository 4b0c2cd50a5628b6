// Playing clips, one at a time, and the elements that sections build beside them.

const playing = { audio: null, stop: () => {} };

function element(tag, text = "", name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function play(button, head, uri) {
  const mine = playing.audio && playing.button === button;
  playing.stop();
  if (mine) return;
  const audio = new Audio(uri);
  const show = (on) => { button.textContent = on ? "■" : "▶"; button.setAttribute("aria-pressed", on); head.hidden = !on; };
  const follow = () => {
    if (playing.audio !== audio) return;
    head.style.left = `${(100 * audio.currentTime) / (audio.duration || 1)}%`;
    requestAnimationFrame(follow);
  };
  Object.assign(playing, { audio, button, stop: () => { audio.pause(); show(false); Object.assign(playing, { audio: null, stop: () => {} }); } });
  audio.addEventListener("ended", () => { if (playing.audio === audio) playing.stop(); });
  show(true);
  audio.play().then(follow, () => playing.stop());
}
