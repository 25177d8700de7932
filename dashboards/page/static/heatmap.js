// A heatmap is a table whose cells are coloured by their numbers.

import { el } from "./dom.js";
import { tick, value } from "./format.js";

const SHADES = 6; // beside that of nothing; few enough to be told apart

/** Which shade a number gets: 0 for nothing, SHADES for the highest. */
const shade = (number, highest) => (!number ? 0 : Math.max(1, Math.ceil((number / highest) * SHADES)));

/** Short enough for a small cell: percent without the sign; nothing is shown by its shade alone. */
const brief = (number, unit) => (!number ? "" : unit === "percentunit" ? String(Math.round(number * 100)) : tick(number, unit));

export function heatmap(description) {
  const { label, across, fields: [field, ...more] } = description;
  const body = el("tbody");
  const heads = across.values.map((place) => el("th", { scope: "col" }, el("span", { class: "sr-only" }, `${across.title} `), String(place)));
  const table = el("table", {}, el("caption", { class: "sr-only" }, description.description),
    el("thead", {}, el("tr", {}, el("td", {}, el("span", { class: "sr-only" }, label.title)), ...heads)), body);
  const scale = el("div", { class: "scale", "aria-hidden": "true" });
  const nothing = el("p", { class: "nothing", hidden: true }, description.no_value);
  const wrap = el("div", { class: "scroll", role: "region", "aria-label": `${description.title}, rows`, tabindex: "0" }, table);
  const legend = el("div", { class: "under muted" }, el("span", {}, `${field.title}${field.unit === "percentunit" ? ", in percent" : ""}, by ${across.title.toLowerCase()}`), scale);
  let drawn = "";

  function cell(line, place, row, highest) {
    const number = row?.[field.column] ?? null;
    const rest = row && number ? more.map((other) => `, ${other.title.toLowerCase()} ${value(row[other.column], other.unit)}`) : [];
    const text = [value(number, field.unit), ...rest].join("");
    return el("td", { class: `shade-${shade(number, highest)}`, "data-tip": `${line}, ${across.title.toLowerCase()} ${place}: ${text}` },
      el("span", { "aria-hidden": "true" }, brief(number, field.unit)), el("span", { class: "sr-only" }, text));
  }

  return {
    node: el("div", { class: "heat" }, wrap, legend, nothing),
    update(rows) {
      if (JSON.stringify(rows) === drawn) return;
      drawn = JSON.stringify(rows);
      const highest = Math.max(0, ...rows.map((row) => row[field.column] ?? 0));
      nothing.hidden = highest > 0;
      wrap.hidden = legend.hidden = highest === 0;
      const named = new Map();
      for (const row of rows) {
        const name = value(row[label.column], label.unit);
        if (!named.has(name)) named.set(name, new Map());
        named.get(name).set(Number(row[across.column]), row);
      }
      wrap.style.setProperty("--lines", named.size);
      body.replaceChildren(...[...named].map(([name, cells]) => el("tr", {}, el("th", { scope: "row" }, name), ...across.values.map((place) => cell(name, place, cells.get(place), highest)))));
      scale.replaceChildren(el("span", {}, value(0, field.unit)), ...Array.from({ length: SHADES + 1 }, (_, at) => el("span", { class: `step shade-${at}` })), el("span", {}, value(highest, field.unit)));
    },
  };
}
