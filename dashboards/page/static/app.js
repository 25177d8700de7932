// The page: asks for the board's numbers again and again while it is looked at, and draws them.

import { forget, recolor } from "./charts.js";
import { CAMPAIGN, chosen, href, learn, question, remember } from "./choice.js";
import { controls, offer, reflect, shown } from "./controls.js";
import { tooltips } from "./dom.js";
import { clock, period, span, zoned } from "./format.js";
import { boards, mark } from "./nav.js";
import { empty, shows, trouble, untyped, welcome } from "./notices.js";
import { panel, place } from "./panels.js";

const EVERY = 3000; // ms between an answer and the next question; longer when answers take long
const LONGEST = 30_000; // between questions that are not answered: each time twice as long
const PATIENCE = 4000; // until a viewer is told that it takes its time

// The charts' library is run after this file, while the first numbers are on their way: both take their time.
const library = new Promise((resolve) => (document.readyState === "complete" ? resolve() : addEventListener("DOMContentLoaded", resolve, { once: true })));

const $ = (id) => document.getElementById(id);
let drawn = null; // the board that is drawn: {key, panels: Map of key to {panel, description}}
let live = true;
let timer = 0;
let asking = null;
let unanswered = 0; // questions in a row

/** Another choice: the URL says it, so that going back undoes it. */
function go(change) {
  visit(href(change));
}

function visit(url, landing = null) {
  history.pushState(null, "", url);
  refresh();
  landing?.focus();
}

const choose = { href };

async function refresh() {
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  const { board } = chosen();
  remember();
  reflect();
  leave(board);
  const asked = performance.now();
  const slow = setTimeout(() => {
    $("status").textContent = drawn ? "These numbers are from before: the next take their time." : "The database takes its time. The board comes as soon as it answers.";
  }, PATIENCE);
  mine.signal.addEventListener("abort", () => clearTimeout(slow));
  const { status, answer } = await ask(`boards/${encodeURIComponent(board)}.json?${question()}`, mine.signal);
  await library;
  clearTimeout(slow);
  if (mine.signal.aborted) return; // another question took its place
  unanswered = status === 200 ? 0 : unanswered + 1;
  if (status === 200) draw(answer);
  else failed(status, answer);
  if (status < 400 || status > 428) schedule(performance.now() - asked); // to a refusal the answer stays the same
}

/** {status, answer}; status 0 when nobody answered. */
async function ask(url, signal) {
  try {
    const response = await fetch(url, { signal, headers: { Accept: "application/json" } });
    return { status: response.status, answer: await response.json().catch(() => ({})) };
  } catch {
    return { status: 0, answer: {} };
  }
}

function schedule(took) {
  clearTimeout(timer);
  if (live && document.visibilityState === "visible") timer = setTimeout(refresh, Math.max(Math.min(LONGEST, EVERY * 2 ** unanswered), 2 * took));
}

/** Take the board away that is no longer asked for, so that nobody reads its numbers under another's title. */
function leave(board) {
  const title = mark();
  if (drawn?.key === board) return;
  drawn = null;
  forget();
  named(title ?? "Sendlens");
  $("about").textContent = $("subtitle").textContent = $("status").textContent = "";
  $("panels").replaceChildren();
  offerTable(null);
  offer([], {});
  $("board").setAttribute("aria-busy", "true");
  $("board").dataset.board = board;
  notice("", null);
}

function named(title) {
  $("title").textContent = title;
  document.title = title === "Sendlens" ? title : `${title} · Sendlens`;
}

function draw(answer) {
  const since = new Date(answer.since), until = new Date(answer.until);
  const { board } = answer;
  zoned(answer.timezone);
  known(board);
  $("subtitle").textContent = period(since, until);
  $("logout").hidden = !answer.logged_in;
  $("status").textContent = `Updated ${clock(new Date())}`;
  $("board").classList.remove("stale");
  shown(since, until, answer.timezone);
  offer(board.variables, answer.options);
  const started = answer.any_emails || !board.needs_emails;
  $("panels").hidden = !started;
  if (!started) notice("welcome", welcome);
  else fill(answer, { before: before(span(until - since), answer.options.campaign), compared: answer.compared, marks: answer.answers[board.marks]?.rows ?? [], since: answer.since, until: answer.until });
  $("board").setAttribute("aria-busy", "false");
}

/** How to call what numbers are compared with: of a period {when, against}, of another campaign {against, name}. */
function before(length, campaigns) {
  const { compare } = chosen();
  if (campaigns && compare.startsWith(CAMPAIGN)) {
    const id = compare.slice(CAMPAIGN.length);
    const name = campaigns.find((one) => String(one.id) === id)?.label ?? id;
    return { against: name, name };
  }
  if (compare === "weekdays") return { when: "on the same weekdays before", against: "the same weekdays before" };
  if (compare === "year") return { when: "a year before", against: "a year before" };
  return { when: `in the ${length} before`, against: `the ${length} before` };
}

/** What is known of a board without its numbers: its title, and the way to the others. */
function known(board) {
  learn(board.boards);
  remember();
  boards(board.boards);
  named(board.title);
  $("about").textContent = board.description;
}

function fill({ board, answers }, context) {
  if (!drawn) {
    drawn = { key: board.key, panels: board.panels.map((description) => ({ description, ...panel(description, choose, board.key) })) };
    place(drawn.panels);
    $("panels").replaceChildren(...drawn.panels.map(({ node }) => node));
    offerTable(drawn.panels.find(({ description }) => description.kind === "table"));
  }
  const waits = untyped(board);
  $("variables").classList.toggle("waits", Boolean(waits)); // the notice asks for it
  for (const { description, node, update } of drawn.panels) {
    const answer = answers[description.query];
    node.hidden = Boolean(waits) && !shows(description, answer);
    update(answer, context);
  }
  const nothing = empty(board, answers);
  notice(nothing?.key ?? "", nothing?.make);
}

/** The way at a keyboard to the board's first table, past two dozen cards and charts. */
function offerTable(first) {
  $("to-table").hidden = !first;
  if (!first) return;
  const rows = first.node.querySelector(".scroll");
  rows.id = `table-${first.description.key}`;
  $("to-table").href = `#${rows.id}`;
  $("to-table").textContent = `Skip to the table ${first.description.title}`;
}

let noticed = "";
/** Show a notice, once: drawn again every few seconds it would be read out every few seconds. */
function notice(key, make) {
  if (key === noticed) return;
  noticed = key;
  $("notice").replaceChildren(...(make ? [make(go)] : []));
}

function failed(status, { detail, board }) {
  if (board) known(board);
  $("board").classList.add("stale");
  $("board").setAttribute("aria-busy", "false");
  $("status").textContent = drawn ? "These numbers are from before." : "";
  notice(`trouble ${status} ${detail}`, () => trouble(status, detail, live));
}

function theme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const show = () => {
    root.classList.toggle("is-dark", isDark());
    $("theme").setAttribute("aria-label", `Switch to the ${isDark() ? "light" : "dark"} theme`);
    recolor();
  };
  $("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("theme", root.dataset.theme);
    } catch {
      // No storage: the choice lasts as long as the page.
    }
    show();
  });
  system.addEventListener("change", show);
  show();
}

controls(go);
theme();
tooltips();
$("live").addEventListener("click", () => {
  live = !live;
  $("live").setAttribute("aria-pressed", String(live));
  $("live").querySelector(".text").textContent = live ? "Live" : "Paused";
  if (live) refresh();
  else clearTimeout(timer);
});
document.addEventListener("click", (event) => {
  // A plain click on a link to this page changes the choice without loading the page anew.
  const link = event.target instanceof Element ? event.target.closest("a[href^='?']") : null;
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  const leaves = link.closest("#boards") === null && new URLSearchParams(link.search).get("board") !== new URLSearchParams(location.search).get("board");
  if (leaves) scrollTo({ top: 0 });
  visit(link.getAttribute("href"), leaves ? $("title") : null);
});
$("logout").addEventListener("click", async () => {
  await fetch("logout", { method: "POST", redirect: "manual" }).catch(() => {});
  location.reload();
});
addEventListener("popstate", refresh);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && live) refresh();
  else clearTimeout(timer);
});
refresh();
