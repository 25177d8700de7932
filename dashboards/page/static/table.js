// Tables: real ones, sorted by their headings, the longest ones shortened until asked.

import { chosen } from "./choice.js";
import { el } from "./dom.js";
import { moment, value } from "./format.js";
import { listed } from "./lists.js";

const SHOWN = 10;
const IDS = ["campaign_id", "step", "variant", "link_id", "place"]; // what tells rows apart besides their label
const CAMPAIGN = "campaign_name";
const BADGES = new Set(["human", "machine", "bot", "paused", "active"]);

/** The highest threshold that a number has reached, or null. */
export function reached(field, number) {
  return field.thresholds.findLast((step) => number !== null && number >= step.value) ?? null;
}

const isText = (field) => field.unit === "string" || field.unit === "dateTimeAsIso";

/** A row's label: a link, if it leads somewhere. */
export function labelled({ link }, row, choose, text) {
  const to = link ? row[link.column] : null;
  if (to === null || to === undefined || to === "") return text;
  const there = choose.href({ ...(link.board && { board: link.board }), of: { [link.sets]: [String(to)] } });
  return el("a", { href: there, "data-row": to }, text);
}

/** A count or rate leads to the emails behind it. Tab reaches the first link of a row, the arrow keys the dozen others. */
function counted(field, row, text) {
  return field.outcome && row[field.column] > 0 ? el("a", { class: "list", href: listed(field.outcome, row), tabindex: "-1", "data-tip": "List these emails" }, text) : text;
}

function cell(field, row) {
  const content = row[field.column];
  const text = content === null && field.missing ? field.missing : value(content, field.unit);
  const kinds = [isText(field) ? "text" : "number", field.color === "grey" ? "raw" : "", text.length > 30 ? "long" : ""].join(" ").trim();
  const warning = isText(field) ? null : reached(field, content);
  if (field.column === "finding") return el("td", { class: kinds }, el("span", { class: `finding ${/ better /.test(text) ? "good" : ""}` }, text));
  const badge = ["verdict", "state"].includes(field.column) && BADGES.has(text.toLowerCase());
  if (badge) return el("td", { class: kinds }, el("span", { class: `badge ${text.toLowerCase()}` }, text));
  if (warning) return el("td", { class: kinds }, el("strong", { class: `warning is-${warning.color}` }, counted(field, row, text)));
  return el("td", { class: kinds }, counted(field, row, text));
}

const isNone = (content) => content === null || content === "" || content === "–";
const testOf = (row) => JSON.stringify([row.campaign_id, row.step]);

/**
 * A table of the panel's columns; `update(rows)` draws again only what changed, and keeps the focus. With `all` every row is
 * shown, in the order in which it comes, and columns that are empty in all of them are not. The column of campaigns is not
 * there where one is chosen, and the rows of an A/B test stay together however they are sorted.
 */
export function table(panel, choose, { all: every = false } = {}) {
  const columns = panel.label ? [panel.label, ...panel.fields] : panel.fields;
  const ofTests = columns.some((field) => field.column === "finding");
  let sorted = null;
  let rows = [];
  let all = every;
  let drawn = "";

  const headings = columns.map((field) => {
    const button = every ? el("span", { "data-tip": field.about || null }, field.title)
      : el("button", { type: "button", "data-tip": field.about || null, on: { click: () => sort(field) } }, field.title);
    return el("th", { scope: "col", class: isText(field) || field === panel.label ? "text" : "number" }, button);
  });
  const body = el("tbody");
  const node = el("table", {}, el("caption", { class: "sr-only" }, `${panel.title}. ${panel.description}`), el("thead", {}, el("tr", {}, ...headings)), body);
  const more = el("button", { type: "button", class: "plain more", hidden: true, on: { click: () => { all = !all; draw(true); } } });
  const wrap = el("div", { class: "scroll", role: "region", "aria-label": `${panel.title}, rows`, tabindex: "0" }, node);

  function sort(field) {
    const down = sorted?.field === field ? !sorted.down : field.unit !== "string";
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
    const ordered = [...rows].sort((one, other) => {
      const [a, b] = [one[field.column], other[field.column]];
      if (a === b) return 0;
      if (isNone(a)) return 1; // what has no value comes last either way
      if (isNone(b)) return -1;
      const order = isText(field) ? String(a).localeCompare(String(b), "en", { numeric: true }) : a - b;
      return down ? -order : order;
    });
    if (!ofTests) return ordered;
    const first = [...new Set(ordered.map(testOf))];
    return first.flatMap((test) => rows.filter((row) => testOf(row) === test));
  }

  /** The first rows, to the end of the test in which they would be cut. */
  function firstOf(ordered) {
    let end = Math.min(SHOWN, ordered.length);
    while (ofTests && end < ordered.length && testOf(ordered[end]) === testOf(ordered[end - 1])) end += 1;
    return ordered.slice(0, end);
  }

  const shownNow = () => (all ? inOrder() : firstOf(inOrder()));

  function draw(force) {
    const text = JSON.stringify([rows, moment(0), location.search]); // times and links say the present choice
    if (!force && text === drawn) return;
    drawn = text;
    const focused = placeOf(document.activeElement);
    const shown = shownNow();
    const heading = (row, text) => el("th", { scope: "row", class: text.length > 22 ? "text long" : "text" }, labelled(panel, row, choose, text));
    body.replaceChildren(...shown.map((row) => el("tr", { "data-key": keyOf(row) }, ...columns.map((field) =>
      field === panel.label ? heading(row, value(row[field.column], field.unit)) : cell(field, row)))));
    for (const line of body.rows) line.querySelector("a")?.removeAttribute("tabindex");
    if (focused) [...body.rows].find((line) => line.dataset.key === focused.key)?.cells[focused.column].querySelector("a")?.focus();
    const isOfOne = panel.label?.column !== CAMPAIGN && (chosen().of.campaign ?? []).length === 1;
    columns.forEach((field, at) => {
      const isEmpty = every && rows.every((row) => row[field.column] === null || row[field.column] === "");
      const isHidden = isEmpty || (isOfOne && field.column === CAMPAIGN);
      headings[at].hidden = isHidden;
      for (const line of body.rows) line.cells[at].hidden = isHidden;
    });
    const few = firstOf(inOrder()).length;
    more.hidden = every || rows.length <= few;
    more.textContent = all ? `Show the first ${few}` : `Show all ${rows.length}`;
  }

  /** Of which row and column a link is, to find it again in a table that was drawn anew; null of what is no link of it. */
  function placeOf(node) {
    const column = body.contains(node) ? node.closest("td, th") : null;
    return column && { key: column.parentElement.dataset.key, column: column.cellIndex };
  }

  const keyOf = (row) => JSON.stringify([panel.label?.column, ...IDS].map((name) => row[name] ?? null));

  // Past the headings: from the table as a whole the arrow key goes to its first row.
  wrap.addEventListener("keydown", (event) => {
    const first = event.target === wrap && event.key === "ArrowDown" && body.querySelector("a");
    if (!first) return;
    event.preventDefault();
    first.focus();
  });

  node.addEventListener("keydown", (event) => {
    const { key, target } = event;
    const across = { ArrowRight: 1, ArrowLeft: -1 }[key], down = { ArrowDown: 1, ArrowUp: -1 }[key];
    const [line, column] = [target.closest("tbody tr"), target.closest("td, th")];
    if (!line || !(across || down)) return;
    const links = [...line.querySelectorAll("a")];
    const to = across ? links[links.indexOf(target) + across] : body.rows[line.sectionRowIndex + down]?.cells[column.cellIndex].querySelector("a");
    if (!to) return;
    event.preventDefault(); // the page would scroll
    to.focus();
  });

  return {
    node: el("div", { class: "table" }, wrap, more),
    shown: shownNow,
    update(next) {
      rows = next;
      draw(false);
    },
  };
}
