// The page: asks for the board's numbers again and again while it is looked at, and draws them.

import { recolor } from "./charts.js";
import { chosen, controls, href, offer, reflect } from "./controls.js";
import { el, tooltips } from "./dom.js";
import { clock, period, span } from "./format.js";
import { panel } from "./panels.js";

const EVERY = 3000; // ms between an answer and the next question; longer when answers take long
const BOARD = "overview";

const $ = (id) => document.getElementById(id);
let panels = null; // Map of key to {panel, description}
let live = true;
let timer = 0;
let asking = null;

function go(change) {
  history.pushState(null, "", href(change));
  refresh();
}

const choose = { href: (campaign) => href({ campaigns: [campaign] }) };

async function refresh() {
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  reflect();
  const { since, until, campaigns, timezone } = chosen();
  const query = new URLSearchParams({ since, until, timezone });
  const asked = performance.now();
  for (const campaign of campaigns) query.append("campaign", campaign);
  try {
    const response = await fetch(`boards/${BOARD}.json?${query}`, { signal: mine.signal, headers: { Accept: "application/json" } });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) draw(answer);
    else trouble(response.status, answer.detail);
  } catch (error) {
    if (mine.signal.aborted) return; // another question took its place
    trouble(0, "");
  }
  if (mine === asking) schedule(performance.now() - asked);
}

function schedule(took) {
  clearTimeout(timer);
  if (live && document.visibilityState === "visible") timer = setTimeout(refresh, Math.max(EVERY, 2 * took));
}

function draw(answer) {
  const since = new Date(answer.since), until = new Date(answer.until);
  const { board } = answer;
  document.title = `${board.title} · Sendlens`;
  $("title").textContent = board.title;
  $("subtitle").textContent = period(since, until, answer.timezone);
  $("status").textContent = `Updated ${clock(new Date())}`;
  $("board").classList.remove("stale");
  $("board").setAttribute("aria-busy", "false");
  offer(answer.options.campaign ?? []);
  $("panels").hidden = !answer.any_emails;
  if (!answer.any_emails) return notice("welcome", welcome);
  if (!panels) {
    panels = new Map(board.panels.map((description) => [description.key, { description, ...panel(description, choose) }]));
    $("panels").replaceChildren(...[...panels.values()].map(({ node }) => node));
  }
  const context = { span: span(until - since), timezone: answer.timezone };
  for (const { description, update } of panels.values()) update(answer.answers[description.query], context);
  const sent = answer.answers.headline?.rows?.[1]?.sent;
  if (sent === 0) notice("none", nothingHere);
  else notice("", null);
}

let noticed = "";
/** Show a notice, once: drawn again every few seconds it would be read out every few seconds. */
function notice(key, make) {
  if (key === noticed) return;
  noticed = key;
  $("notice").replaceChildren(...(make ? [make()] : []));
}

function trouble(status, detail) {
  $("board").classList.add("stale");
  $("board").setAttribute("aria-busy", "false");
  $("status").textContent = panels ? "These numbers are from before." : "";
  const [title, text] =
    status === 503 ? ["The database does not answer", detail]
    : status === 422 ? ["That can't be shown", detail]
    : status === 401 ? ["Log in to see the numbers", detail]
    : status === 0 ? ["Sendlens does not answer", "It may be restarting, or the network is away."]
    : [`Sendlens answered ${status}`, detail];
  notice(`trouble ${status} ${detail}`, () => el("div", { class: "notice bad" }, el("strong", {}, title), el("p", {}, text || ""), el("p", { class: "muted" }, live ? "The page tries again by itself every few seconds." : "")));
}

function nothingHere() {
  const { campaigns } = chosen();
  return el("div", { class: "notice" }, el("strong", {}, "No emails were sent in this period"),
    el("p", {}, campaigns.length ? "Choose a longer period, or more campaigns. " : "Choose a longer period. ",
      el("a", { href: href({ since: "now-365d", until: "now", campaigns: [] }) }, "Show the last 12 months of all campaigns")));
}

function welcome() {
  const headers = `  -H "Authorization: Bearer $SENDLENS_API_KEY" -H "Content-Type: application/json" \\`;
  const commands = [
    `curl ${location.origin}/v1/campaigns \\`,
    headers,
    `  -d '{"id": "spring", "name": "Spring"}'`,
    "",
    `curl ${location.origin}/v1/sends \\`,
    headers,
    `  -d '{"sends": [{"campaign": "spring", "step": 1, "variant": "A", "lead": "lead-1",`,
    `       "to": "ada@example.com", "sender": "grace@example.net", "subject": "Hello",`,
    `       "html": "<p>Hello <a href=https://example.com/>Ada</a></p>"}]}'`,
  ].join("\n");
  return el("div", { class: "welcome" }, el("h2", {}, "No emails yet"),
    el("p", {}, "Declare a campaign, then POST /v1/sends: the first numbers appear here within seconds of the first email."),
    el("pre", { tabindex: "0", "aria-label": "Commands to send a first email" }, el("code", {}, commands)),
    el("p", { class: "muted" }, "Everything the API takes is described in ", el("a", { href: "docs" }, "the API's documentation"), "."));
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
  history.pushState(null, "", link.getAttribute("href"));
  refresh();
});
addEventListener("popstate", refresh);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && live) refresh();
  else clearTimeout(timer);
});
refresh();
