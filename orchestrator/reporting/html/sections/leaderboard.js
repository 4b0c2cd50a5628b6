// The table of methods: rows are sorted within their track and protocol, searched, followed, and unfold into trials.

const BOARD = document.querySelector(".board");
const ROWS = [...BOARD.querySelectorAll("tr[data-method]")].map((row) => ({
  row, method: methodOf(row.dataset.method), head: row.dataset.head, of: methodOf(row.dataset.method).heads[row.dataset.head],
}));
const SORTS = {
  rank: ({ method }) => DATA.order[state.head].indexOf(method.name),
  name: ({ method }) => method.name,
  backbone: ({ method }) => method.backbone,
  head: ({ head }) => head,
  aa: ({ of }) => of.chain.aa.mean,
  n: ({ of }) => of.chain.aa.n,
  first: ({ of }) => of.sessions.micro[0].mean,
  final: ({ of }) => of.chain.final.mean,
  pd: ({ of }) => of.chain.pd.mean,
  forgetting: ({ of }) => of.chain.forgetting.mean,
  validation: ({ of }) => of.validation.mean,
};
const isMain = ({ method, head }) => head === headOf(method);
const settingsOf = (method) => Object.entries(method.varied).map(([key, value]) => `${key} ${settingText(value)}`).join(", ");
const unfolded = new Map(); // row -> the row below it

function drawLeaderboard() {
  const descending = state.sort.startsWith("-"), value = SORTS[state.sort.replace("-", "")];
  const main = new Map(ROWS.filter(isMain).map((entry) => [entry.method.name, entry]));
  const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = (method) => words.every((word) => `${method.name} ${method.track} ${settingsOf(method)}`.toLowerCase().includes(word));
  const compare = (a, b) => {
    const [first, second] = [main.get(a.method.name), main.get(b.method.name)].map((entry) => (entry ? value(entry) : null));
    const order = first === null || second === null ? (first === null) - (second === null)
      : (descending ? -1 : 1) * (typeof first === "string" ? first.localeCompare(second) : first - second);
    // the rows of a method stay together, that of the selected head first
    return order || a.method.name.localeCompare(b.method.name) || isMain(b) - isMain(a);
  };
  const ranks = new Map();
  ranked().forEach((method) => ranks.set(method.group, [...(ranks.get(method.group) || []), method.name]));
  for (const body of BOARD.tBodies) {
    const rows = ROWS.filter(({ row }) => row.parentElement === body).sort(compare);
    for (const entry of rows) {
      const { row, method, head } = entry;
      row.hidden = !found(method) || (state.others === "hidden" && !isChosen(method)) || (state.head !== "" && head !== state.head)
        || (MANY && !isMain(entry) && !unfolded.has(main.get(method.name)?.row)); // other heads of many methods: with the trials
      row.classList.toggle("other", !isMain(entry));
      row.querySelector(".rank").textContent = isMain(entry) && (state.head ? entry.of.validation.n : method.validated) ? ranks.get(method.group).indexOf(method.name) + 1 : "";
      row.querySelector(".follow").setAttribute("aria-pressed", isChosen(method));
      const below = unfolded.get(row);
      if (below) below.hidden = row.hidden;
    }
    const wanted = rows.flatMap(({ row }) => [row, unfolded.get(row)].filter(Boolean));
    const focused = document.activeElement;
    if (wanted.some((row, place) => [...body.querySelectorAll(":scope > tr:not(.group)")][place] !== row)) body.append(...wanted);
    if (body.contains(focused)) focused.focus(); // a moved element loses it
  }
  BOARD.querySelectorAll("th[data-sort]").forEach((heading) => {
    if (heading.dataset.sort === state.sort.replace("-", "")) heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else heading.removeAttribute("aria-sort");
  });
  $("matches").textContent = words.length ? `${DATA.methods.filter(found).length} of ${DATA.methods.length} methods` : "";
}

function unfold(entry, button) {
  const { row, method, of } = entry;
  const open = !unfolded.has(row);
  button.setAttribute("aria-expanded", open);
  if (!open) { unfolded.get(row).remove(); unfolded.delete(row); return drawLeaderboard(); }
  const accuracies = new Map(of.chains.map((chain) => [chain.seeds, chain.aa]));
  const below = document.createElement("tr"), cell = document.createElement("td");
  below.className = "trials";
  cell.colSpan = row.cells.length;
  const title = document.createElement("p");
  title.textContent = `${method.configuration}${settingsOf(method) ? `: ${settingsOf(method)}` : ""}${method.candidates > 1 ? `; chosen among ${method.candidates}` : ""}`;
  const trials = document.createElement("table");
  const line = (cells, tag) => {
    const element = document.createElement("tr");
    cells.forEach((text, column) => {
      const part = document.createElement(tag);
      part.textContent = text;
      if (tag === "th") part.scope = "col";
      if (column > 1 && column < 5) part.className = "number";
      element.append(part);
    });
    return element;
  };
  const reason = method.trials.some((trial) => trial.reason);
  trials.append(line(["seeds", "status", "sessions", "seconds", "AA", ...(reason ? ["reason"] : [])], "th"), ...method.trials.map((trial) => {
    const element = line([trial.seeds, trial.status, `${trial.sessions}/${trial.planned}`, trial.seconds.toFixed(1), percent(accuracies.get(trial.seeds)), ...(reason ? [trial.reason] : [])], "td");
    element.className = trial.status;
    return element;
  }));
  cell.append(title, trials);
  below.append(cell);
  row.after(below);
  unfolded.set(row, below);
  drawLeaderboard();
}

BOARD.addEventListener("click", (event) => {
  const sort = event.target.closest("th[data-sort]"), entry = ROWS.find(({ row }) => row.contains(event.target));
  if (sort && event.target.closest("button")) {
    const key = sort.dataset.sort, first = (event.target.closest("button").dataset.down === "yes" ? "-" : "") + key;
    set("sort", state.sort !== first ? first : first.startsWith("-") ? key : "-" + key);
  } else if (entry && event.target.closest(".follow")) choose(entry.method.name, !isChosen(entry.method));
  else if (entry && event.target.closest(".unfold")) unfold(entry, event.target.closest(".unfold"));
});
addValue("sort", "rank", (text) => text.replace("-", "") in SORTS);
addControl("search", "");
addSection("leaderboard", drawLeaderboard, ["sort", "search"]);
