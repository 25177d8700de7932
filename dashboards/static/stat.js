// One number in large type, what it was in the period before, and the counts behind it.

import { el } from "./dom.js";
import { change, count, shortCount, value } from "./format.js";
import { reached } from "./table.js";

export function stat(description) {
  const figures = description.fields.map((field, at) => {
    const number = el("span", { class: "value" });
    const name = description.fields.length > 1 ? el("span", { class: "name" }, field.title) : null;
    return { field, number, node: el("div", { class: at === 0 ? "figure" : "figure second" }, name, number) };
  });
  const of = el("span", { class: "of" });
  const moved = el("span", { class: "change", hidden: true });
  const [first] = description.fields;
  const { part, whole, noun } = description.of ?? {};

  function foot(now, was, span) {
    const amount = now[first.column] ?? null;
    const counted = part && now[whole] > 0; // none of them is an answer, and not the same as nothing to count
    if (amount === null || (first.unit === "short" && amount === 0 && !counted)) return description.no_value;
    if (part) return `${count(now[part])} of ${count(now[whole])} ${noun}`;
    return was === null ? "" : `${was} in the ${span} before`;
  }

  return {
    node: el("div", { class: "body" }, el("div", { class: "figures" }, ...figures.map((figure) => figure.node)), el("div", { class: "foot" }, of, moved)),
    update(rows, { span }) {
      const now = rows.at(-1) ?? {};
      const before = rows.at(-2) ?? null;
      for (const { field, number, node } of figures) {
        const amount = now[field.column] ?? null;
        const limit = reached(field, amount);
        const text = field.unit === "short" ? shortCount(amount) : value(amount, field.unit);
        number.className = `value ${limit ? `is-${limit.color}` : ""}`;
        number.classList.toggle("long", text.length > 9);
        number.replaceChildren(text, ...(limit && limit.color !== "green" && limit.value > 0 ? [" ", el("span", { class: "flag" }, `${value(limit.value, field.unit).replace(".0%", "%")} or more`)] : []));
        node.classList.toggle("none", amount === null);
      }
      const was = before && (before[first.column] ?? null) !== null ? value(before[first.column], first.unit) : null;
      of.textContent = foot(now, was, span);
      const difference = before ? change(now[first.column], before[first.column], first.unit) : null;
      moved.hidden = !difference || of.textContent === description.no_value;
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
