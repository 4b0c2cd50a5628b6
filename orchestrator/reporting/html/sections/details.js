// The method and the session of the sections below.

const focused = () => DATA.methods.find((method) => method.name === state.focus) || DATA.methods[0];
const focusedHead = () => focused().heads[headOf(focused()) || focused().head];
const classNames = () => focused().classes || DATA.class_names;

// With several class orders a class does not belong to one session.
const order = () => (DATA.orders > 1 ? [] : DATA.session_classes.flat());
const sessionOf = (label) => (DATA.orders > 1 ? "differs" : DATA.session_classes.findIndex((labels) => labels.includes(label)));

function drawDetails() {
  const seen = DATA.seen[state.session];
  $("session-label").textContent = seen === null ? String(state.session) : `${state.session} (${seen} classes)`;
}

addControl("focus", [...DATA.methods].sort((a, b) => a.rank - b.rank)[0].name);
addControl("session", DATA.planned_sessions - 1);
addSection("details", drawDetails, ["session"]);
