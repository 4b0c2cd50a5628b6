function filterRows() {
  document.querySelectorAll("tr[data-method]").forEach((row) => {
    const other = state.head !== "" && row.dataset.head !== undefined && row.dataset.head !== state.head;
    row.hidden = state.off.has(row.dataset.method) || other;
  });
}

addSection("leaderboard", filterRows);
