// Tables: real ones, sorted by their headings, the longest ones shortened until asked.

import { el } from "./dom.js";
import { value } from "./format.js";

const SHOWN = 10;

/** The highest threshold that a number has reached, or null. */
export function reached(field, number) {
  return field.thresholds.findLast((step) => number !== null && number >= step.value) ?? null;
}

const isText = (field) => field.unit === "string";

function cell(panel, field, row, first, choose) {
  const content = row[field.column];
  const text = value(content, field.unit);
  const kinds = [isText(field) ? "text" : "number", field.color === "grey" && !first ? "raw" : ""].join(" ").trim();
  if (first) {
    const inside = panel.link
      ? el("a", { href: choose.href(row[panel.link.column]), "data-campaign": row[panel.link.column], "data-row": row[panel.link.column] }, text)
      : text;
    return el("th", { scope: "row", class: "text" }, inside);
  }
  const warning = reached(field, content);
  const badge = field.column === "verdict" || (field.column === "state" && text === "Paused");
  if (badge) return el("td", { class: kinds }, el("span", { class: `badge ${text.toLowerCase()}` }, text));
  if (warning) return el("td", { class: kinds }, el("strong", { class: `warning is-${warning.color}` }, text));
  return el("td", { class: kinds }, text);
}

/** A table of the panel's columns; `update(rows)` draws again only what changed, and keeps the focus. */
export function table(panel, choose) {
  const columns = panel.label ? [panel.label, ...panel.fields] : panel.fields;
  let sorted = null;
  let rows = [];
  let all = false;
  let drawn = "";

  const headings = columns.map((field) => {
    const button = el("button", { type: "button", "data-tip": field.about || null, on: { click: () => sort(field) } }, field.title);
    return el("th", { scope: "col", class: isText(field) ? "text" : "number" }, button);
  });
  const body = el("tbody");
  const node = el("table", {}, el("caption", { class: "sr-only" }, `${panel.title}. ${panel.description}`), el("thead", {}, el("tr", {}, ...headings)), body);
  const more = el("button", { type: "button", class: "plain more", hidden: true, on: { click: () => { all = !all; draw(true); } } });
  const wrap = el("div", { class: "scroll", role: "region", "aria-label": panel.title, tabindex: "0" }, node);

  function sort(field) {
    const down = sorted?.field === field ? !sorted.down : !isText(field);
    sorted = { field, down };
    headings.forEach((heading, at) => {
      if (columns[at] === field) heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    });
    draw(true);
  }

  function inOrder() {
    if (!sorted) return rows;
    const { field, down } = sorted;
    return [...rows].sort((one, other) => {
      const [a, b] = [one[field.column], other[field.column]];
      if (a === b) return 0;
      if (a === null) return 1; // what has no value comes last either way
      if (b === null) return -1;
      const order = isText(field) ? String(a).localeCompare(String(b), "en", { numeric: true }) : a - b;
      return down ? -order : order;
    });
  }

  function draw(force) {
    const text = JSON.stringify(rows);
    if (!force && text === drawn) return;
    drawn = text;
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.row : null;
    const shown = all ? inOrder() : inOrder().slice(0, SHOWN);
    body.replaceChildren(...shown.map((row) => el("tr", {}, ...columns.map((field, at) => cell(panel, field, row, at === 0 && Boolean(panel.label), choose)))));
    if (focused) [...body.querySelectorAll("a")].find((link) => link.dataset.row === focused)?.focus();
    more.hidden = rows.length <= SHOWN;
    more.textContent = all ? `Show the first ${SHOWN}` : `Show all ${rows.length}`;
  }

  return {
    node: el("div", { class: "table" }, wrap, more),
    update(next) {
      rows = next;
      draw(false);
    },
  };
}
