// The methods: which are shown, with which head, and how each looks.

const COLOURS = DATA.palette;
const DASHES = ["solid", "dash", "dot", "dashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-down", "triangle-up", "pentagon", "x"];

const shown = () => DATA.methods.filter((method) => !state.off.has(method.name) && headOf(method));
const headOf = (method) => (state.head ? (method.heads[state.head] ? state.head : null) : method.head);
const result = (method) => method.heads[headOf(method)];
const colour = (method) => COLOURS[method.colour % COLOURS.length];
const dash = (method) => DASHES[Math.floor(method.colour / COLOURS.length) % DASHES.length];
const symbol = (method) => SYMBOLS[method.colour % SYMBOLS.length];
const LONG_NAMES = DATA.several_backbones || DATA.several_protocols || DATA.has_transductive;
const named = (method) => method.name + (method.track === "transductive" ? " (transductive)" : "");
const label = (method) => named(method) + (state.head || headOf(method) === method.head ? "" : ` (${headOf(method)})`);
