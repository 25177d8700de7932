// A panel is built once from its description; update() puts new numbers in.

import { bar } from "./bar.js";
import { chart } from "./charts.js";
import { clickMap } from "./clickmap.js";
import { el } from "./dom.js";
import { exporting } from "./export.js";
import { moment } from "./format.js";
import { heatmap } from "./heatmap.js";
import { shows } from "./notices.js";
import { paged } from "./paged.js";
import { stat } from "./stat.js";
import { table } from "./table.js";
import { timeline } from "./timeline.js";

const KINDS = { "click-map": clickMap, stat, bar, heatmap, timeline, table: plainTable, "time-series": plotted, histogram: plotted };

/** {node, update(answer, context)}; answer is {rows} or {error}, context {before, compared, marks, since, until}. */
export function panel(description, choose, board) {
  const content = KINDS[description.kind](description, choose, board);
  const id = `panel-${description.key}`;
  const error = el("p", { class: "error", hidden: true });
  const node = el("section", { class: `card ${description.kind}`, id, "aria-labelledby": `${id}-title` },
    el("header", {},
      el("h2", { id: `${id}-title` }, description.title),
      content.aside ?? null,
      el("button", { type: "button", class: "info", "aria-label": `What is ${description.title}? ${description.description}`, "data-tip": description.description }, "?")),
    error, content.node);
  node.style.setProperty("--x", description.area.x + 1);
  node.style.setProperty("--width", description.area.width);
  if (description.kind === "stat" && description.area.width >= 6) node.classList.add("large");
  return {
    node,
    update(answer, context) {
      error.hidden = !answer.error;
      content.node.hidden = Boolean(answer.error);
      error.textContent = answer.error ? `This number could not be had. ${answer.error}` : "";
      if (!answer.error) content.update(answer.rows, context);
    },
  };
}

/** Put the panels where the board has them: a row of the grid for each height at which a panel begins. */
export function place(panels) {
  const heights = [...new Set(panels.map(({ description }) => description.area.y))].sort((one, other) => one - other);
  for (const { node, description: { area } } of panels) {
    node.style.setProperty("--y", heights.indexOf(area.y) + 1);
    node.style.setProperty("--height", heights.filter((y) => y >= area.y && y < area.y + area.height).length);
  }
}

function plainTable(description, choose, board) {
  const rowsOf = description.pages ? paged(description, choose, board) : table(description, choose);
  const nothing = el("p", { class: "nothing", hidden: true }, description.no_value);
  const file = exporting(description, board, rowsOf.shown);
  return {
    aside: file.node,
    node: el("div", {}, rowsOf.node, nothing),
    update(rows, context) {
      file.node.hidden = rows.length === 0;
      file.of({ since: context.since, until: context.until });
      nothing.hidden = rows.length > 0;
      rowsOf.node.hidden = rows.length === 0;
      rowsOf.update(rows, context);
    },
  };
}

const MARKS = {
  label: { column: "when", title: "Marked moment", unit: "string", thresholds: [] },
  fields: [{ column: "text", title: "What happened", unit: "string", thresholds: [] }],
};

/** A chart, and beneath it its numbers as a table. */
function plotted(description) {
  const overTime = description.kind === "time-series";
  const drawing = chart(description);
  const per = el("span", { class: "aside muted" });
  const nothing = el("p", { class: "nothing over", hidden: true }, description.no_value);
  const title = `${description.title}, the numbers`;
  const label = overTime ? { ...description.label, unit: "string", column: "when" } : description.label;
  const numbers = table({ ...description, link: null, label, title }, null);
  const others = table({ ...description, link: null, label, title: `${description.title}, what it is compared with` }, null);
  let beside = null;
  const moments = table({ ...MARKS, link: null, title: `${description.title}, marked moments`, description: "What stands as a line across the chart." }, null);
  const details = el("details", { class: "numbers" }, el("summary", {}, "Show the numbers as a table"), numbers.node, others.node, moments.node);
  let latest = [];
  let marked = [];
  const list = () => {
    if (!details.open) return;
    numbers.update(latest);
    others.node.hidden = !beside;
    if (beside) others.update(beside);
    moments.node.hidden = marked.length === 0;
    moments.update(marked);
  };
  details.addEventListener("toggle", list);
  return {
    aside: overTime ? per : null,
    node: el("div", { class: "body" }, el("div", { class: "stage" }, drawing.node, nothing), details),
    update(rows, { marks, compared, before }) {
      const other = overTime ? (compared[description.query]?.rows ?? null) : null;
      const form = drawing.update(rows, overTime ? marks : [], other, before.against);
      const counts = description.fields.some((field) => !field.line && field.unit === "short"); // others are of a moment
      per.textContent = `${counts ? "per" : "every"} ${form.per}`;
      nothing.hidden = drawing.visible = shows(description, { rows });
      const dated = (row) => ({ ...row, when: form.long(new Date(row[description.label.column])) });
      latest = overTime ? rows.map(dated).reverse() : rows;
      beside = other && other.map(dated).reverse();
      marked = overTime ? marks.map(({ time, text }) => ({ when: moment(time), text })) : [];
      list();
    },
  };
}
