"use strict";
// The state of the page: what is selected. It is in the URL fragment (#head=linear&off=icarl): a link reproduces the
// view, and a live page keeps it when it reloads itself.

const DATA = JSON.parse(document.getElementById("data").textContent);
const ROOT = document.documentElement;
const $ = (id) => document.getElementById(id);
const state = { off: new Set() };
const CONTROLS = [];
const SECTIONS = [];

// Registers a section: draw() fills it from the state. Every change of the methods, the head, the theme or the size
// draws all sections; a change of another control only those that name it in `on`.
function addSection(name, draw, on = []) { SECTIONS.push({ name, draw, on }); }

// Registers a control, a select or a range with this id: state[id] has its value, `initial` where the URL has none.
function addControl(id, initial, { all = false } = {}) {
  const element = $(id);
  CONTROLS.push({ id, element, initial, all });
  state[id] = initial;
  element.addEventListener(element.type === "range" ? "input" : "change", () => {
    state[id] = typeof initial === "number" ? Number(element.value) : element.value;
    changed(all ? null : id);
  });
}

function valueOf({ element, initial }, text) {
  if (text === null) return initial;
  if (typeof initial !== "number") return [...element.options].some((option) => option.value === text) ? text : initial;
  const value = Number(text);
  return Number.isInteger(value) && value >= Number(element.min) && value <= Number(element.max) ? value : initial;
}

function readState() {
  const params = new URLSearchParams(location.hash.slice(1));
  state.off = new Set(params.getAll("off"));
  document.querySelectorAll("#methods input").forEach((box) => { box.checked = !state.off.has(box.value); });
  for (const control of CONTROLS) control.element.value = state[control.id] = valueOf(control, params.get(control.id));
}

function writeState() {
  const params = new URLSearchParams();
  state.off.forEach((name) => params.append("off", name));
  for (const { id, initial } of CONTROLS) if (state[id] !== initial) params.set(id, state[id]);
  history.replaceState(null, "", "#" + params);
}

function show(control = null) {
  if (state.theme) ROOT.dataset.theme = state.theme;
  else delete ROOT.dataset.theme;
  for (const section of SECTIONS) if (control === null || section.on.includes(control)) section.draw();
}

function changed(control = null) { writeState(); show(control); }
