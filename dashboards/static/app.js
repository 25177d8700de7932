// The page: asks for the board's numbers again and again while it is looked at, and draws them.

import { forget, recolor } from "./charts.js";
import { chosen, href, learn, remember } from "./choice.js";
import { controls, offer, reflect, shown } from "./controls.js";
import { tooltips } from "./dom.js";
import { clock, period, span, zoned } from "./format.js";
import { boards, mark } from "./nav.js";
import { empty, shows, trouble, untyped, welcome } from "./notices.js";
import { panel, place } from "./panels.js";

const EVERY = 3000; // ms between an answer and the next question; longer when answers take long

const $ = (id) => document.getElementById(id);
let drawn = null; // the board that is drawn: {key, panels: Map of key to {panel, description}}
let live = true;
let timer = 0;
let asking = null;

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
  const { board, since, until, timezone, of } = chosen();
  remember();
  reflect();
  leave(board);
  const query = new URLSearchParams({ since, until, timezone });
  for (const [name, values] of Object.entries(of)) for (const value of values) query.append(name, value);
  const asked = performance.now();
  const { status, answer } = await ask(`boards/${encodeURIComponent(board)}.json?${query}`, mine.signal);
  if (mine.signal.aborted) return; // another question took its place
  if (status === 200) draw(answer);
  else failed(status, answer.detail);
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
  if (live && document.visibilityState === "visible") timer = setTimeout(refresh, Math.max(EVERY, 2 * took));
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
  learn(board.boards);
  remember();
  boards(board.boards);
  named(board.title);
  $("about").textContent = board.description;
  $("subtitle").textContent = period(since, until);
  $("logout").hidden = !answer.logged_in;
  $("status").textContent = `Updated ${clock(new Date())}`;
  $("board").classList.remove("stale");
  shown(since, until, answer.timezone);
  offer(board.variables, answer.options);
  const started = answer.any_emails || !board.needs_emails;
  $("panels").hidden = !started;
  if (!started) notice("welcome", welcome);
  else fill(answer, { span: span(until - since), marks: answer.answers[board.marks]?.rows ?? [] });
  $("board").setAttribute("aria-busy", "false");
}

function fill({ board, answers }, context) {
  if (!drawn) {
    drawn = { key: board.key, panels: board.panels.map((description) => ({ description, ...panel(description, choose) })) };
    place(drawn.panels);
    $("panels").replaceChildren(...drawn.panels.map(({ node }) => node));
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

let noticed = "";
/** Show a notice, once: drawn again every few seconds it would be read out every few seconds. */
function notice(key, make) {
  if (key === noticed) return;
  noticed = key;
  $("notice").replaceChildren(...(make ? [make(go)] : []));
}

function failed(status, detail) {
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
