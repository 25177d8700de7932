// What the viewer chooses, kept in the URL so that a link shows the same board.

import { el } from "./dom.js";

export const DEFAULT = { since: "now-30d", until: "now" };

const PRESETS = [
  ["now-15m", "Last 15 minutes"], ["now-1h", "Last hour"], ["now-6h", "Last 6 hours"], ["now-24h", "Last 24 hours"],
  ["now-7d", "Last 7 days"], ["now-30d", "Last 30 days"], ["now-90d", "Last 90 days"], ["now-365d", "Last 12 months"],
];
const CUSTOM = "custom";

/** The choice that the URL says: {since, until, campaigns, timezone}. */
export function chosen() {
  const query = new URLSearchParams(location.search);
  return {
    since: query.get("since") || DEFAULT.since,
    until: query.get("until") || DEFAULT.until,
    campaigns: query.getAll("campaign"),
    timezone: query.get("timezone") || Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
  };
}

/** The URL's query for the present choice with `change` made; the timezone stays only if the URL named it. */
export function href(change) {
  const { since, until, campaigns } = { ...chosen(), ...change };
  const query = new URLSearchParams();
  if (since !== DEFAULT.since) query.set("since", since);
  if (until !== DEFAULT.until) query.set("until", until);
  for (const campaign of campaigns) query.append("campaign", campaign);
  const timezone = new URLSearchParams(location.search).get("timezone");
  if (timezone) query.set("timezone", timezone);
  return `?${query}`;
}

const $ = (id) => document.getElementById(id);

/** Wires the controls; `go(change)` is called with what the viewer changed. */
export function controls(go) {
  const range = $("range"), custom = $("custom"), menu = $("campaigns");
  range.append(...PRESETS.map(([text, label]) => el("option", { value: text }, label)), el("option", { value: CUSTOM }, "Custom…"));
  range.addEventListener("change", () => {
    custom.hidden = range.value !== CUSTOM;
    if (range.value === CUSTOM) $("since").focus();
    else go({ since: range.value, until: "now" });
  });
  $("controls").addEventListener("submit", (event) => {
    event.preventDefault();
    const [since, until] = [$("since").value, $("until").value];
    if (since && until) go({ since: new Date(since).toISOString(), until: new Date(until).toISOString() });
  });
  $("campaigns-all").addEventListener("click", () => {
    menu.open = false;
    go({ campaigns: [] });
  });
  $("campaign-search").addEventListener("input", find);
  $("campaign-options").addEventListener("change", () => {
    go({ campaigns: [...$("campaign-options").querySelectorAll("input:checked")].map((box) => box.value) });
  });
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      $("campaigns-summary").focus();
    }
  });
}

/** Show the present choice in the controls. */
export function reflect() {
  const { since, until } = chosen();
  const preset = until === "now" && PRESETS.some(([text]) => text === since);
  $("range").value = preset ? since : CUSTOM;
  $("custom").hidden = preset;
  if (!preset && !Number.isNaN(Date.parse(since)) && !Number.isNaN(Date.parse(until))) {
    $("since").value = local(since);
    $("until").value = local(until);
  }
}

/** Offer these campaigns ({id, label}); one that was chosen stays offered even if it is unknown. */
export function offer(campaigns) {
  const { campaigns: picked } = chosen();
  const known = new Map(campaigns.map(({ id, label }) => [id, label]));
  for (const id of picked) if (!known.has(id)) known.set(id, id);
  const options = $("campaign-options");
  const made = JSON.stringify([...known]);
  if (options.dataset.made !== made) {
    options.dataset.made = made;
    options.replaceChildren(...[...known].map(([id, label]) => el("label", {}, el("input", { type: "checkbox", value: id }), el("span", {}, label))));
    find();
  }
  for (const box of options.querySelectorAll("input")) box.checked = picked.includes(box.value);
  $("campaigns-summary").textContent =
    picked.length === 0 ? "All campaigns" : picked.length === 1 ? known.get(picked[0]) : `${picked.length} campaigns`;
}

function find() {
  const text = $("campaign-search").value.toLowerCase();
  for (const label of $("campaign-options").children) label.hidden = !label.textContent.toLowerCase().includes(text);
}

function local(moment) {
  const date = new Date(moment);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
