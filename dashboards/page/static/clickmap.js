// Who clicked where, on a variant's HTML: a frame in which nothing runs and nothing is loaded, and the same as a table.

import { chosen } from "./choice.js";
import { el } from "./dom.js";
import { table } from "./table.js";

const EVERY = 30_000; // ms between two questions: the frame is drawn anew where a number moved, and forgets its place
const HOW = "The platform declares a variant's HTML with PUT /v1/campaigns/{id}/steps/{step}/variants/{variant}/preview.";

const column = (name, title, unit, about, more = {}) => ({ column: name, title, unit, about, color: "blue", thresholds: [], missing: "", outcome: "", ...more });
const LIST = {
  title: "Links of the email",
  description: "Who clicked which link, by the number that it has on the map.",
  link: null,
  label: column("badge", "Badge", "string", "The number of the link's badge; other links stand in emails of this variant, and not in the HTML that was declared."),
  fields: [
    column("link", "Link", "string", "Where it leads."),
    column("clicked", "Emails", "short", "Emails in which a person followed it.", { outcome: "clicked" }),
    column("click_rate", "Share", "percentunit", "Of the variant's emails that were delivered with links."),
    column("raw_clicked", "Raw", "short", "Emails in which anybody followed it.", { color: "grey" }),
  ],
};

const keyOf = ({ campaign_id, step, variant }) => JSON.stringify([campaign_id, step, variant]);
const nameOf = ({ campaign_name, step_name, variant }) => `${campaign_name}, ${step_name}${variant && `, ${variant}`}`;

export function clickMap(description, choose) {
  const select = el("select", { id: "click-map-of", on: { change: () => { picked = select.value; ask(); } } });
  const list = table(LIST, choose);
  const said = el("p", { class: "muted", role: "status" });
  const frame = el("iframe", { sandbox: "", referrerpolicy: "no-referrer", title: "The email, with a badge at each link; the table has the same numbers" });
  const note = el("p", { class: "muted" }, "Nobody's own email. Its images are not loaded and its links lead nowhere here, so looking at it counts as nothing.");
  const map = el("div", { class: "clickmap" }, el("div", {}, list.node, said), el("div", {}, frame, note));
  const which = el("p", { class: "which" }, el("label", { for: "click-map-of" }, "Email "), select);
  const nothing = el("p", { class: "nothing" }, `${description.no_value}. ${HOW}`);
  let emails = [], picked = "", offered = "", seen = false, asking = null, asked = "", askedAt = 0, drawn = "";

  async function ask() {
    const email = emails.find((one) => keyOf(one) === picked);
    if (!email || !seen) return;
    const { since, until, timezone } = chosen();
    const query = String(new URLSearchParams({ since, until, timezone, campaign: email.campaign_id, step: email.step, variant: email.variant }));
    if (query === asked && performance.now() - askedAt < EVERY) return;
    asking?.abort();
    const mine = (asking = new AbortController());
    [asked, askedAt] = [query, performance.now()];
    let answer = null;
    if (!drawn) said.textContent = "The database is asked who clicked.";
    try {
      const response = await fetch(`click-map.json?${query}`, { signal: mine.signal });
      answer = response.ok ? await response.json() : null;
    } catch {
      // Left, or nobody answered: said below.
    }
    if (!mine.signal.aborted) draw(query, answer);
  }

  function draw(query, answer) {
    said.textContent = answer ? (answer.rows.length ? "" : "It has no link that leads over Sendlens.") : "The clicks could not be had. The page tries again by itself.";
    if (!answer) return;
    list.update(answer.rows.map((row) => ({ ...row, badge: row.number ? String(row.number) : "Not on it" })));
    const text = JSON.stringify([query, answer.rows]);
    if (text !== drawn) frame.src = `click-map.html?${query}`;
    drawn = text;
  }

  // The question reads every email of the variant: it is asked once somebody looks.
  const watcher = new IntersectionObserver((entries) => {
    seen = entries.some((entry) => entry.isIntersecting);
    if (seen) ask();
  }, { rootMargin: "200px" });
  watcher.observe(map);

  return {
    node: el("div", {}, which, map, nothing),
    update(rows) {
      emails = rows;
      nothing.hidden = rows.length > 0;
      which.hidden = map.hidden = rows.length === 0;
      if (!rows.some((row) => keyOf(row) === picked)) picked = rows.length ? keyOf(rows[0]) : "";
      const text = JSON.stringify(rows.map((row) => [keyOf(row), nameOf(row)]));
      if (text !== offered) select.replaceChildren(...rows.map((row) => el("option", { value: keyOf(row) }, nameOf(row))));
      offered = text;
      select.value = picked;
      ask();
    },
  };
}
