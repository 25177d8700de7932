// Draws each kind of panel. A panel is built once from its description; update() puts new numbers in.

import { series } from "./charts.js";
import { el } from "./dom.js";
import { change, count, rate, shortCount, value } from "./format.js";
import { reached, table } from "./table.js";

/** {node, update(answer, context)}; answer is {rows} or {error}, context {span, timezone}. */
export function panel(description, choose) {
  const kinds = { stat, bar, table: plainTable, "time-series": timeSeries };
  const content = kinds[description.kind](description, choose);
  const id = `panel-${description.key}`;
  const error = el("p", { class: "error", hidden: true });
  const node = el("section", { class: `card ${description.kind}`, id, "aria-labelledby": `${id}-title` },
    el("header", {},
      el("h2", { id: `${id}-title` }, description.title),
      content.aside ?? null,
      el("button", { type: "button", class: "info", "aria-label": `What is ${description.title}? ${description.description}`, "data-tip": description.description }, "?")),
    error, content.node);
  node.style.setProperty("--width", description.width);
  if (description.kind === "stat" && description.width >= 6) node.classList.add("large");
  return {
    node,
    update(answer, context) {
      error.hidden = !answer.error;
      content.node.hidden = Boolean(answer.error);
      error.textContent = answer.error ? `This number could not be had: ${answer.error}` : "";
      if (!answer.error) content.update(answer.rows, context);
    },
  };
}

function stat(description) {
  const figures = description.fields.map((field, at) => {
    const number = el("span", { class: "value" });
    const name = description.fields.length > 1 ? el("span", { class: "name" }, field.title) : null;
    return { field, number, node: el("div", { class: at === 0 ? "figure" : "figure second" }, name, number) };
  });
  const of = el("span", { class: "of" });
  const moved = el("span", { class: "change", hidden: true });
  return {
    node: el("div", { class: "body" }, el("div", { class: "figures" }, ...figures.map((figure) => figure.node)), el("div", { class: "foot" }, of, moved)),
    update(rows, { span }) {
      const [before, now] = rows;
      const first = description.fields[0];
      const nothing = now[first.column] === null || (first.unit === "short" && now[first.column] === 0);
      for (const { field, number, node } of figures) {
        const amount = now[field.column];
        const limit = reached(field, amount);
        number.className = `value ${limit ? `is-${limit.color}` : ""}`;
        number.replaceChildren(
          field.unit === "short" ? shortCount(amount) : value(amount, field.unit),
          ...(limit ? [" ", el("span", { class: "flag" }, `${value(limit.value, field.unit).replace(".0%", "%")} or more`)] : []));
        node.classList.toggle("none", amount === null);
      }
      const was = value(before[first.column], first.unit);
      const { part, whole, noun } = description.of ?? {};
      of.textContent = nothing ? description.no_value : part ? `${count(now[part])} of ${count(now[whole])} ${noun}` : `${was} in the ${span} before`;
      const difference = nothing ? null : change(now[first.column], before[first.column], first.unit);
      moved.hidden = !difference;
      if (!difference) return;
      const up = Number(difference.amount.toFixed(1)) > 0, down = Number(difference.amount.toFixed(1)) < 0;
      const good = (up && description.better === "up") || (down && description.better === "down");
      const bad = (up && description.better === "down") || (down && description.better === "up");
      moved.className = `change ${good ? "good" : bad ? "bad" : ""}`;
      moved.dataset.tip = `${was} in the ${span} before`;
      moved.replaceChildren(el("span", { "aria-hidden": "true" }, up ? "▲ " : down ? "▼ " : ""), difference.text, el("span", { class: "sr-only" }, ` against the ${span} before, when it was ${was}`));
    },
  };
}

/** Bars are a table too: a bar per row, the numbers beside it. */
function bar(description) {
  const { label, fields, stacked } = description;
  const body = el("tbody");
  const heads = fields.map((field) => el("th", { scope: "col", class: "number" }, el("span", { class: `key is-${field.color}`, "aria-hidden": "true" }), field.title));
  const legend = el("div", { class: "legend", "aria-hidden": "true" }, ...fields.map((field) => el("span", {}, el("span", { class: `key is-${field.color}` }), field.title)));
  const hidden = (text) => el("span", { class: "sr-only" }, text);
  const table = el("table", {}, el("caption", { class: "sr-only" }, description.description),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, hidden(label.title)), el("th", { scope: "col" }, hidden("Bar")), ...heads)), body);
  const node = el("div", { class: "bars" }, legend, table);
  const nothing = el("p", { class: "nothing", hidden: true }, description.no_value);
  node.append(nothing);
  let drawn = "";
  return {
    node,
    update(rows) {
      if (JSON.stringify(rows) === drawn) return;
      drawn = JSON.stringify(rows);
      const totals = rows.map((row) => (stacked ? fields.reduce((sum, field) => sum + row[field.column], 0) : Math.max(...fields.map((field) => row[field.column] ?? 0))));
      const longest = Math.max(...totals, 0);
      nothing.hidden = longest > 0;
      table.hidden = legend.hidden = longest === 0;
      body.replaceChildren(...rows.map((row, at) => {
        const track = el("div", { class: `track ${stacked ? "stacked" : "layered"}` });
        const behindFirst = stacked ? fields : [...fields].reverse();
        for (const field of behindFirst) {
          const amount = row[field.column];
          if (!amount) continue;
          const piece = el("div", { class: `piece is-${field.color}`, "data-tip": `${row[label.column]}, ${field.title}: ${count(amount)}${share(row, field, totals[at], stacked)}` });
          piece.style.width = `${(amount / longest) * 100}%`;
          track.append(piece);
        }
        return el("tr", {}, el("th", { scope: "row" }, row[label.column]), el("td", { class: "bar" }, track),
          ...fields.map((field, column) => el("td", { class: stacked || column === 0 ? "number" : "number raw" }, numbers(row, field, totals[at], stacked))));
      }));
    },
  };
}

function share(row, field, total, stacked) {
  const part = stacked ? (total ? row[field.column] / total : null) : row[field.column.startsWith("raw_") ? "raw_share" : "share"];
  return part === null || part === undefined ? "" : ` (${rate(part)})`;
}

function numbers(row, field, total, stacked) {
  if (row[field.column] === null) return "";
  return el("span", {}, count(row[field.column]), el("span", { class: "share" }, share(row, field, total, stacked).replace(/[()]/g, "")));
}

function plainTable(description, choose) {
  const rowsOf = table(description, choose);
  const nothing = el("p", { class: "nothing", hidden: true }, description.no_value);
  return {
    node: el("div", {}, rowsOf.node, nothing),
    update(rows) {
      nothing.hidden = rows.length > 0;
      rowsOf.node.hidden = rows.length === 0;
      rowsOf.update(rows);
    },
  };
}

function timeSeries(description) {
  const chart = series(description);
  const per = el("span", { class: "aside muted" });
  const nothing = el("p", { class: "nothing over", hidden: true }, description.no_value);
  const text = { ...description, link: null, label: { ...description.label, column: "when" }, title: `${description.title}, the numbers` };
  const numbersOf = table(text, null);
  const details = el("details", { class: "numbers" }, el("summary", {}, "Show the numbers as a table"), numbersOf.node);
  let latest = [];
  details.addEventListener("toggle", () => details.open && numbersOf.update(latest));
  return {
    aside: per,
    node: el("div", { class: "body" }, el("div", { class: "stage" }, chart.node, nothing), details),
    update(rows, { timezone }) {
      const form = chart.update(rows, timezone);
      per.textContent = `per ${form.per}`;
      nothing.hidden = chart.visible = rows.some((row) => description.fields.some((field) => row[field.column] > 0));
      latest = rows.map((row) => ({ ...row, when: form.long(new Date(row[description.label.column])) })).reverse();
      if (details.open) numbersOf.update(latest);
    },
  };
}
