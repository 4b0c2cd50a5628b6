// The methods: which are followed, with which head, in which order, and how each looks.
// A followed method is drawn strongly; the others faintly, or not at all.

const LONG_NAMES = DATA.several_backbones || DATA.several_protocols || DATA.has_transductive;
const methodOf = (name) => DATA.methods.find((method) => method.name === name);
const ranked = () => DATA.order[state.head].map(methodOf); // those that have the head, the best by validation first
const chosenNames = () => state.chosen || new Set((MANY ? best() : DATA.methods).map((method) => method.name));
const isChosen = (method) => chosenNames().has(method.name);
const headOf = (method) => (state.head ? (method.heads[state.head] ? state.head : null) : method.head);
const shown = () => ranked().filter(isChosen);
const faint = () => (state.others === "faint" ? ranked().filter((method) => !isChosen(method)) : []);
const result = (method) => method.heads[headOf(method)];
const named = (method) => method.name + (method.track === "transductive" ? " (transductive)" : "");
const label = (method) => named(method) + (state.head || headOf(method) === method.head ? "" : ` (${headOf(method)})`);
const marker = (method, more = {}) => ({ symbol: method.symbol, size: 8, color: method.colour, ...more });

// The best few: the first of each protocol and track, then the second of each, as only methods of one group are ranked.
function best() {
  const places = new Map(), counts = {};
  for (const method of ranked()) places.set(method, (counts[method.group] = (counts[method.group] ?? -1) + 1));
  return [...places.keys()].sort((a, b) => places.get(a) - places.get(b)).slice(0, DATA.few);
}

function choose(name, on) {
  const names = new Set(chosenNames());
  names[on ? "add" : "delete"](name);
  state.chosen = !MANY && names.size === DATA.methods.length ? null : names;
  changed();
}

// Bars have the colour of their method, and a pattern where a line would be dashed.
const PATTERNS = { solid: "", dash: "/", dot: ".", dashdot: "x", longdash: "-" };
const barStyle = (method) => ({ color: method.colour, pattern: { shape: PATTERNS[method.dash], fillmode: "overlay", fgcolor: css("--paper"), fgopacity: 1, size: 9, solidity: 0.2 } });
