// A table as a file: the rows that are shown, or all there are.

import { question } from "./choice.js";
import { el } from "./dom.js";

/** A cell of CSV (RFC 4180). What a spreadsheet would run is told as text: https://owasp.org/www-community/attacks/CSV_Injection */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = String(value);
  const told = /^[\p{Z}\p{C}]*[-=+@＝＋－＠]|^[\t\r\n]/u.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(told) ? `"${told.replaceAll('"', '""')}"` : told;
}

export const csv = (columns, rows) => [columns.map(({ title }) => cell(title)), ...rows.map((row) => columns.map(({ column }) => cell(row[column])))].map((line) => line.join(",") + "\r\n").join("");

function save(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser has read it by then
}

/** {node, period(of the rows shown)}: a menu in the heading of a table; `shown()` gives its rows. */
export function exporting(panel, board, shown) {
  const name = `sendlens-${board}-${panel.key}`;
  const columns = panel.label ? [panel.label, ...panel.fields] : panel.fields;
  let period = {};
  const all = el("a", { download: `${name}.csv` }, "All of it");
  const some = el("button", { type: "button", class: "plain", on: { click: () => { save(csv(columns, shown()), `${name}-shown.csv`); node.open = false; } } }, "What is shown");
  const summary = el("summary", { "aria-label": `Export ${panel.title} as CSV` }, "CSV");
  const node = el("details", { class: "menu export" }, summary, el("div", { class: "sheet" }, some, all));
  node.addEventListener("toggle", () => node.open && all.setAttribute("href", `boards/${board}/${panel.key}.csv?${question(period)}`));
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !node.open) return;
    node.open = false;
    summary.focus();
  });
  document.addEventListener("click", (event) => {
    if (!event.composedPath().includes(node) || event.target === all) node.open = false;
  });
  return { node, of: (shownOf) => { period = shownOf; } };
}
