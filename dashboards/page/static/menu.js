// A control for each variable of the board: a menu of which several may be chosen, or a field to type into.

import { chosen } from "./choice.js";
import { el } from "./dom.js";
import { find } from "./find.js";

const SHOWN = 200; // a list longer than that is to be searched, not scrolled

/** {node, offer(options), reflect() the present choice}; `go(change)` is called with what the viewer chose. */
export function control(variable, go) {
  return variable.typed ? field(variable, go) : menu(variable, go);
}

/** "All campaigns", "2 campaigns". */
const several = (variable) => `${variable.label.toLowerCase()}s`;

function menu(variable, go) {
  const { name } = variable;
  const all = `All ${several(variable)}`;
  const search = el("input", { type: "search", placeholder: `Find a ${variable.label.toLowerCase()}`, "aria-label": `Find a ${variable.label.toLowerCase()}`, autocomplete: "off", on: { input: find } });
  const options = el("div", { class: "options", role: "group", "aria-label": `${variable.label}s`, on: { change: pick } });
  const more = el("p", { class: "muted more", hidden: true });
  const none = el("button", { type: "button", class: "plain", on: { click: () => { close(); go({ of: { [name]: [] } }); } } }, all);
  const title = el("span", { class: "picked" }, all);
  const summary = el("summary", { "data-variable": name, title: variable.about }, el("span", { class: "sr-only" }, `${variable.label}: `), title);
  const node = el("details", { class: "menu", id: `choose-${name}` }, summary, el("div", { class: "sheet" }, search, options, more, none));
  let known = new Map();
  let drawn = "";

  function close() {
    node.open = false;
    summary.focus();
  }

  function pick() {
    const shown = [...options.querySelectorAll("input")];
    const kept = picked().filter((id) => !shown.some((box) => box.value === id));
    go({ of: { [name]: [...kept, ...shown.filter((box) => box.checked).map((box) => box.value)] } });
  }

  const picked = () => chosen().of[name] ?? [];

  function find() {
    const text = search.value.trim().toLowerCase();
    const found = [...known].filter(([, label]) => label.toLowerCase().includes(text));
    const shown = found.slice(0, SHOWN);
    options.replaceChildren(...shown.map(([id, label]) => el("label", {}, el("input", { type: "checkbox", value: id }), el("span", {}, label))));
    more.hidden = found.length > 0 && found.length <= SHOWN;
    more.textContent = found.length ? `and ${found.length - SHOWN} more: type to find them` : known.size ? "None is called so." : "There is none yet.";
    check();
  }

  function check() {
    const of = picked();
    for (const box of options.querySelectorAll("input")) box.checked = of.includes(box.value);
    title.textContent = of.length === 0 ? all : of.length === 1 ? (known.get(of[0]) ?? of[0]) : `${of.length} ${several(variable)}`;
    summary.classList.toggle("is-set", of.length > 0);
  }

  node.addEventListener("toggle", () => node.open && !search.hidden && search.focus());
  node.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && node.open) close();
  });
  document.addEventListener("click", (event) => {
    if (!event.composedPath().includes(node)) node.open = false;
  });
  return {
    node,
    reflect: check,
    /** Offer these ({id, label}); one that was chosen stays offered even if it is unknown. */
    offer(rows) {
      const next = new Map(rows.map(({ id, label }) => [String(id), String(label)]));
      for (const id of picked()) if (!next.has(id)) next.set(id, id);
      const text = JSON.stringify([...next]);
      known = next;
      search.hidden = next.size <= 7;
      if (text !== drawn) find();
      else check();
      drawn = text;
    },
  };
}

function field(variable, go) {
  const id = `choose-${variable.name}`;
  const input = el("input", { type: "search", id, name: variable.name, placeholder: `Find a ${variable.label.toLowerCase()}`, title: variable.about, autocomplete: "off", spellcheck: "false", maxlength: "320" });
  const node = el("div", { class: "typed" }, el("label", { for: id, class: "sr-only" }, variable.label), input,
    el("button", { type: "button", class: "strong" }, "Show"));
  const choice = el("div", { class: "sheet", hidden: true });
  node.append(choice);
  const submit = (event) => {
    event.preventDefault();
    find(input.value.trim(), variable, go, choice);
  };
  input.addEventListener("keydown", (event) => event.key === "Enter" && submit(event));
  node.querySelector("button").addEventListener("click", submit);
  let shown = null;
  const reflect = () => {
    const value = (chosen().of[variable.name] ?? [])[0] ?? "";
    if (value !== shown) input.value = value; // what is being typed is left alone
    shown = value;
  };
  return { node, offer: reflect, reflect };
}
