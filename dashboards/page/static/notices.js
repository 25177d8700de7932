// What the page says instead of numbers, and what to do about it.

import { chosen, href } from "./choice.js";
import { el } from "./dom.js";
import { find } from "./find.js";

const YEAR = { since: "now-365d", until: "now" };

/** What a question that failed means. */
export function trouble(status, detail, live) {
  const [title, text] =
    status === 503 ? ["The database does not answer", detail]
    : status === 422 ? ["That can't be shown", detail]
    : status === 404 ? ["There is no such board", detail]
    : status === 401 ? ["You are logged out", "The login has ended, or its API key was withdrawn. What you chose stays in the address."]
    : status === 0 ? ["Sendlens does not answer", "It may be restarting, or the network is away."]
    : [`Sendlens answered ${status}`, detail];
  const what =
    status === 401 ? el("a", { class: "button", href: location.href }, "Log in again")
    : status === 404 ? el("a", { class: "button", href: "?" }, "Go to the Overview")
    : el("p", { class: "muted" }, live ? "The page tries again by itself, now and then." : "");
  return el("div", { class: "notice bad" }, el("strong", {}, title), el("p", {}, text || ""), what);
}

/** Whether a panel's answer has anything to show. */
export function shows(panel, answer) {
  if (!answer || answer.error) return true; // the panel says what is wrong
  const rows = panel.kind === "stat" ? answer.rows.slice(-1) : answer.rows;
  if (["table", "timeline", "click-map"].includes(panel.kind)) return rows.length > 0;
  return rows.some((row) => panel.fields.some((field) => (field.unit === "short" || field.unit === "cps" ? row[field.column] > 0 : row[field.column] !== null)));
}

/** What is to be typed first, before the board has much to show; its panels that have nothing stay away until then. */
export const untyped = (board) => board.variables.find((variable) => variable.typed && !chosen().of[variable.name]?.length);

/** The notice of a board that has nothing to show: {key, make}, or null. */
export function empty(board, answers) {
  const { of } = chosen();
  const asked = untyped(board);
  if (asked) return { key: `type ${board.key}`, make: (go) => typing(asked, go) };
  const key = `nothing ${board.key} ${JSON.stringify(of)}`;
  if (!board.needs_emails) return null;
  const [first] = board.panels; // what everything else is of
  const has = first.kind === "stat" ? shows(first, answers[first.query]) : board.panels.some((panel) => shows(panel, answers[panel.query]));
  if (has) return null;
  const title = first.fields[0].column === "sent" ? "No emails were sent in this period" : `${first.no_value} in this period`;
  return { key, make: () => nothing(title, board) };
}

function nothing(title, board) {
  const { of, since, until } = chosen();
  const narrowed = board.variables.filter((variable) => !variable.typed && of[variable.name]?.length);
  const names = narrowed.map((variable) => `${variable.label.toLowerCase()}s`).join(" and ");
  const typed = board.variables.find((variable) => variable.typed);
  const longest = since === YEAR.since && until === YEAR.until;
  const advice = [
    typed ? `Check the ${typed.label.toLowerCase()} that you typed: ${of[typed.name][0]}.` : "",
    longest ? "" : narrowed.length ? `Choose a longer period, or more ${names}.` : "Choose a longer period.",
  ].filter(Boolean).join(" ");
  const all = Object.fromEntries(narrowed.map((variable) => [variable.name, []]));
  return el("div", { class: "notice" }, el("strong", {}, title), el("p", {}, advice, " ",
    longest && !narrowed.length ? null : el("a", { href: href({ ...YEAR, of: all }) }, `Show the last 12 months${narrowed.length ? ` of all ${names}` : ""}`)));
}

function typing(variable, go) {
  const input = el("input", { type: "search", id: "ask", maxlength: "320", autocomplete: "off", spellcheck: "false", required: true });
  const submit = (event) => {
    event.preventDefault();
    if (input.value.trim()) find(input.value.trim(), variable, go, choice);
  };
  const choice = el("div", { hidden: true });
  return el("form", { class: "welcome ask", on: { submit } }, el("h2", {}, `Whose story? Name a ${variable.label.toLowerCase()}`),
    el("label", { for: "ask" }, variable.about), el("div", { class: "typed" }, input, el("button", { type: "submit", class: "strong" }, "Show")), choice);
}

/** Nothing was ever sent. */
export function welcome() {
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
