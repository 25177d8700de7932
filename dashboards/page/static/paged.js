// A table that is too long for one answer: its first rows come with the board, the others when they are asked for.

import { question } from "./choice.js";
import { el } from "./dom.js";
import { count } from "./format.js";
import { table } from "./table.js";

const PAGE = 100; // rows, clickhouse/query_parameters.py

export function paged(description, choose, board) {
  const list = table(description, choose, { all: true });
  const more = el("button", { type: "button", class: "plain more", hidden: true, on: { click: next } });
  const status = el("p", { class: "muted more", role: "status" });
  let first = [], later = [], period = {}, under = "", ended = false, asking = null;

  const rows = () => [...first, ...later];

  function draw() {
    list.update(rows());
    const last = later.length || first.length;
    more.hidden = ended || last < PAGE;
    more.textContent = `Show the next ${PAGE}`;
    status.textContent = later.length ? `${count(rows().length)} shown, by the hour of sending. The list stands still until you choose anew.` : "";
  }

  async function next() {
    const mine = (asking = new AbortController());
    const asked = question(period);
    asked.set("place", rows().at(-1).place);
    more.disabled = true;
    let answer = null;
    try {
      const response = await fetch(`boards/${board}/${description.key}.json?${asked}`, { signal: mine.signal });
      answer = response.ok ? await response.json() : null;
    } catch {
      // Left, or nobody answered: said below.
    }
    if (mine.signal.aborted) return;
    more.disabled = false;
    if (!answer) {
      status.textContent = "The next rows could not be had. Try again in a moment.";
      return;
    }
    const at = later.length + first.length;
    later = [...later, ...answer.rows];
    ended = answer.rows.length < PAGE;
    draw();
    list.node.querySelectorAll("tbody a")[at]?.focus();
  }

  return {
    node: el("div", {}, list.node, more, status),
    shown: rows,
    update(fresh, { since, until }) {
      if (location.search !== under) {
        asking?.abort();
        more.disabled = false;
        later = [];
        ended = false;
        under = location.search;
      }
      if (!later.length) {
        // The pages that follow are of this period, to the second.
        period = { since, until };
        first = fresh;
      }
      draw();
    },
    end: () => asking?.abort(),
  };
}
