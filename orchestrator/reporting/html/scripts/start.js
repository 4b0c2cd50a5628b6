// Last: the controls of the whole page, and the first drawing.

addControl("head", "", { all: true });
addControl("theme", "", { all: true });
if (MANY) addControl("others", "faint", { all: true });
else state.others = "hidden";
window.addEventListener("hashchange", () => { readState(); show(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show());
let width = window.innerWidth;
window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; show(); } });
window.addEventListener("beforeprint", () => { ROOT.dataset.theme = "light"; SECTIONS.forEach((section) => section.draw()); });

// A live page reloads itself, unless the reader is using a control or selecting text.
if (ROOT.dataset.live === "yes") {
  setInterval(() => {
    const busy = document.activeElement.matches("select, input:not([type=checkbox])") || String(getSelection());
    if (document.hidden || busy) return;
    const open = [...document.querySelectorAll("main details[open]")].map((element) => element.closest("section").id);
    sessionStorage.setItem("open", JSON.stringify(open));
    location.reload();
  }, Number(ROOT.dataset.reload) * 1000);
}

for (const id of JSON.parse(sessionStorage.getItem("open") || "[]")) $(id)?.querySelector("details")?.setAttribute("open", "");
sessionStorage.removeItem("open");
readState();
show();
ROOT.dataset.ready = "yes";
