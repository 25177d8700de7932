// One number in large type, what it was in the period before, and the counts behind it.

import { el } from "./dom.js";
import { change, count, shortCount, value } from "./format.js";
import { listed } from "./lists.js";
import { reached } from "./table.js";

/** Put these in, unless they are there: what has the focus would lose it. */
function fill(node, ...children) {
  const same = node.childNodes.length === children.length && children.every((child, at) => node.childNodes[at] === child || (typeof child === "string" && node.childNodes[at].nodeType === Node.TEXT_NODE));
  if (!same) node.replaceChildren(...children);
  else children.forEach((child, at) => typeof child === "string" && (node.childNodes[at].data = child));
}

export function stat(description) {
  const figures = description.fields.map((field, at) => {
    const number = el("span", { class: "value" });
    const name = description.fields.length > 1 ? el("span", { class: "name" }, field.title) : null;
    return { field, number, node: el("div", { class: at === 0 ? "figure" : "figure second" }, name, number) };
  });
  const of = el("span", { class: "of" });
  const beside = el("span", { class: "beside", hidden: true });
  const moved = el("span", { class: "change", hidden: true });
  const [first] = description.fields;
  const { part, whole, noun } = description.of ?? {};
  // Made once, so that it keeps the focus; it stands in the counts beneath the number, or is the number.
  const way = first.outcome ? el("a", { class: "list", "data-tip": "List these emails" }) : null;

  function foot(now, was, when) {
    const amount = now[first.column] ?? null;
    if (amount === null && now.delivered === 0) return "No emails delivered"; // so that nothing says they are not tracked
    const counted = part && now[whole] > 0; // none of them is an answer, and not the same as nothing to count
    if (amount === null || (first.unit === "short" && amount === 0 && !counted)) return description.no_value;
    if (part) return countsOf(now);
    return was === null || !when ? "" : `${was} ${when}`;
  }

  function countsOf(now) {
    const rest = ` of ${count(now[whole])} ${noun}`;
    if (!way || !now[part]) return `${count(now[part])}${rest}`;
    way.textContent = count(now[part]);
    return [way, rest];
  }

  return {
    node: el("div", { class: "body" }, el("div", { class: "figures" }, ...figures.map((figure) => figure.node)), el("div", { class: "foot" }, of, moved, beside)),
    update(rows, { before: { when, against, name }, compared }) {
      const now = rows.at(-1) ?? {};
      const other = compared[description.query]?.rows;
      const before = (other ? other.at(-1) : rows.at(-2)) ?? null;
      way?.setAttribute("href", listed(first.outcome));
      for (const { field, number, node } of figures) {
        const amount = now[field.column] ?? null;
        const limit = reached(field, amount);
        const text = field.unit === "short" ? shortCount(amount) : value(amount, field.unit);
        number.className = `value ${limit ? `is-${limit.color}` : ""}`;
        number.classList.toggle("long", text.length > 9);
        const leads = way && !part && field === first && amount > 0;
        if (leads) way.textContent = text;
        fill(number, leads ? way : text, ...(limit && limit.color !== "green" && limit.value > 0 ? [" ", el("span", { class: "flag" }, `${value(limit.value, field.unit).replace(".0%", "%")} or more`)] : []));
        node.classList.toggle("none", amount === null);
      }
      const was = before && (before[first.column] ?? null) !== null ? value(before[first.column], first.unit) : null;
      fill(of, ...[foot(now, was, when)].flat());
      beside.hidden = !name;
      if (name) beside.textContent = `${name}: ${was ?? "–"}${part && before?.[whole] > 0 ? `, ${count(before[part])} of ${count(before[whole])}` : ""}`;
      const difference = before ? change(now[first.column], before[first.column], first.unit) : null;
      moved.hidden = !difference || of.textContent === description.no_value;
      if (!difference) return;
      const up = Number(difference.amount.toFixed(1)) > 0, down = Number(difference.amount.toFixed(1)) < 0;
      const good = (up && description.better === "up") || (down && description.better === "down");
      const bad = (up && description.better === "down") || (down && description.better === "up");
      moved.className = `change ${good ? "good" : bad ? "bad" : ""}`;
      moved.dataset.tip = name ? `${name} has ${was}` : `${was} ${when}`;
      moved.replaceChildren(el("span", { "aria-hidden": "true" }, up ? "▲ " : down ? "▼ " : ""), difference.text, el("span", { class: "sr-only" }, ` against ${against}, when it was ${was}`));
    },
  };
}
