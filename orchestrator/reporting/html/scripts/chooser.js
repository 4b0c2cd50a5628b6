// The list of methods at the top of the page: a box for each, in the order of the leaderboard.

function drawChooser() {
  const names = chosenNames();
  const boxes = new Map([...document.querySelectorAll("#methods input")].map((box) => [box.value, box]));
  const order = [...ranked(), ...DATA.methods.filter((method) => !headOf(method))];
  const chips = order.map((method) => boxes.get(method.name).closest("label"));
  if (chips.some((chip, place) => chip !== $("methods").querySelectorAll("label")[place])) {
    const focused = document.activeElement;
    $("methods").append(...chips);
    if (chips.some((chip) => chip.contains(focused))) focused.focus(); // a moved element loses it
  }
  boxes.forEach((box, name) => { box.checked = names.has(name); box.disabled = !headOf(methodOf(name)); });
  if (!MANY) return;
  const few = shown();
  $("followed").replaceChildren(...few.slice(0, 8).map((method) => {
    const item = document.createElement("span");
    item.append(boxes.get(method.name).closest("label").querySelector("svg").cloneNode(true), short(method.name, 16));
    return item;
  }), ` ${few.length} of ${ranked().length} methods`);
}

$("methods").addEventListener("change", (event) => choose(event.target.value, event.target.checked));
document.querySelectorAll("button[data-choose]").forEach((button) => button.addEventListener("click", () => {
  const names = { all: DATA.methods.map((method) => method.name), none: [], best: null }[button.dataset.choose];
  state.chosen = names && new Set(names);
  changed();
}));
if (MANY) {
  const close = () => $("chooser").removeAttribute("open");
  document.addEventListener("click", (event) => { if (!$("chooser").contains(event.target)) close(); });
  $("chooser").addEventListener("keydown", (event) => { if (event.key === "Escape") { close(); $("chooser").querySelector("summary").focus(); } });
}
addSection("methods", drawChooser);
