"use strict";
// The state of the page: what is selected. It is in the URL fragment (#head=linear&off=icarl): a link reproduces the
// view, and a live page keeps it when it reloads itself.

const DATA = JSON.parse(document.getElementById("data").textContent);
const ROOT = document.documentElement;
const $ = (id) => document.getElementById(id);
const MANY = DATA.methods.length > DATA.many;
const state = { chosen: null }; // names of the methods to follow; null: all, or the best of many
const VALUES = [];
const SECTIONS = [];

// Registers a section: draw() fills it from the state. Every change of the methods, the head, the theme or the size
// draws all sections; a change of another value only those that name it in `on`.
function addSection(name, draw, on = []) { SECTIONS.push({ name, draw, on }); }

// Registers a value: state[id], `initial` where the URL has none; valid(text) tells whether a text from the URL is one.
function addValue(id, initial, valid, element = null) {
  VALUES.push({ id, initial, valid, element });
  state[id] = initial;
}

// Registers a select, a range or a text field with this id as a value; `all`: a change of it draws all sections.
function addControl(id, initial, { all = false } = {}) {
  const element = $(id);
  addValue(id, initial, (text) => {
    if (element.options) return [...element.options].some((option) => option.value === text);
    if (typeof initial !== "number") return true;
    return Number.isInteger(Number(text)) && Number(text) >= Number(element.min) && Number(text) <= Number(element.max);
  }, element);
  element.addEventListener(element.options ? "change" : "input", () => {
    set(id, typeof initial === "number" ? Number(element.value) : element.value, all ? null : id);
  });
}

function set(id, value, control = id) { state[id] = value; changed(control); }

function readState() {
  const params = new URLSearchParams(location.hash.slice(1));
  const known = (names) => names.filter((name) => DATA.methods.some((method) => method.name === name));
  const off = known(params.getAll("off"));
  state.chosen = null;
  if (params.has("on")) state.chosen = new Set(known(params.getAll("on")));
  else if (off.length) state.chosen = new Set(DATA.methods.map((method) => method.name).filter((name) => !off.includes(name)));
  for (const { id, initial, valid, element } of VALUES) {
    const text = params.get(id);
    state[id] = text === null || !valid(text) ? initial : typeof initial === "number" ? Number(text) : text;
    if (element) element.value = state[id];
  }
}

function writeState() {
  const params = new URLSearchParams();
  if (state.chosen && MANY) (state.chosen.size ? state.chosen : [""]).forEach((name) => params.append("on", name));
  else if (state.chosen) DATA.methods.filter((method) => !state.chosen.has(method.name)).forEach((method) => params.append("off", method.name));
  for (const { id, initial } of VALUES) if (state[id] !== initial) params.set(id, state[id]);
  history.replaceState(null, "", "#" + params);
}

function show(control = null) {
  if (state.theme) ROOT.dataset.theme = state.theme;
  else delete ROOT.dataset.theme;
  for (const section of SECTIONS) if (control === null || section.on.includes(control)) section.draw();
}

function changed(control = null) { writeState(); show(control); }
