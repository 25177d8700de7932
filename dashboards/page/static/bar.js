// Bars are a table too: a bar per row, the numbers beside it.

import { el } from "./dom.js";
import { rate, value } from "./format.js";
import { labelled } from "./table.js";

export function bar(description, choose) {
  const { label, fields, stacked } = description;
  const body = el("tbody");
  const hidden = (text) => el("span", { class: "sr-only" }, text);
  const heads = fields.map((field) => el("th", { scope: "col", class: "number" }, el("span", { class: `key is-${field.color}`, "aria-hidden": "true" }), field.title));
  const legend = el("div", { class: "legend", "aria-hidden": "true" }, ...fields.map((field) => el("span", {}, el("span", { class: `key is-${field.color}` }), field.title)));
  const table = el("table", {}, el("caption", { class: "sr-only" }, description.description),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, hidden(label.title)), el("th", { scope: "col" }, hidden("Bar")), ...heads)), body);
  const nothing = el("p", { class: "nothing", hidden: true }, description.no_value);
  const node = el("div", { class: `bars ${fields.length === 1 ? "single" : ""}` }, legend, table, nothing);
  let drawn = "";

  /** A share of the row's whole, where it has several parts: of one alone it would be 100 %, in every row. */
  function share(row, field, total) {
    const part = stacked ? (total && row[field.column] !== total ? row[field.column] / total : null) : row[field.column.startsWith("raw_") ? "raw_share" : "share"];
    return part === null || part === undefined ? "" : rate(part);
  }

  function line(row, total, longest) {
    const track = el("div", { class: `track ${stacked ? "stacked" : "layered"}` });
    const name = value(row[label.column], label.unit);
    for (const field of stacked ? fields : [...fields].reverse()) {
      const amount = row[field.column];
      if (!amount) continue;
      const part = share(row, field, total);
      const piece = el("div", { class: `piece is-${field.color}`, "data-tip": `${name}, ${field.title}: ${value(amount, field.unit)}${part && ` (${part})`}` });
      piece.style.width = `${(amount / longest) * 100}%`;
      track.append(piece);
    }
    return el("tr", {}, el("th", { scope: "row" }, labelled(description, row, choose, name)), el("td", { class: "bar" }, track),
      ...fields.map((field, at) => el("td", { class: stacked || at === 0 ? "number" : "number raw" },
        row[field.column] === null ? "" : el("span", {}, value(row[field.column], field.unit), row[field.column] || !stacked ? el("span", { class: "share" }, share(row, field, total)) : null))));
  }

  return {
    node,
    update(rows) {
      const text = JSON.stringify([rows, location.search]); // links say the present choice
      if (text === drawn) return;
      drawn = text;
      const amounts = rows.map((row) => fields.map((field) => row[field.column] ?? 0));
      const totals = amounts.map((of) => (stacked ? of.reduce((sum, one) => sum + one, 0) : Math.max(...of)));
      const longest = Math.max(...totals, 0);
      nothing.hidden = longest > 0;
      table.hidden = legend.hidden = longest === 0;
      body.replaceChildren(...rows.map((row, at) => line(row, totals[at], longest)));
    },
  };
}
