// The controls above a board: its variables, the period and the timezone.

import { CAMPAIGN, chosen } from "./choice.js";
import { el } from "./dom.js";
import { instant, wall } from "./format.js";
import { control } from "./menu.js";

// Since, until, and what to call it; days, weeks and months are those of the timezone.
const PRESETS = [
  ["now-15m", "now", "Last 15 minutes"], ["now-1h", "now", "Last hour"], ["now-3h", "now", "Last 3 hours"], ["now-6h", "now", "Last 6 hours"], ["now-24h", "now", "Last 24 hours"],
  ["now/d", "now", "Today"], ["now-1d/d", "now/d", "Yesterday"],
  ["now-7d", "now", "Last 7 days"], ["now-30d", "now", "Last 30 days"], ["now-90d", "now", "Last 90 days"],
  ["now/M", "now", "This month"], ["now-1M/M", "now/M", "Last month"], ["now-365d", "now", "Last 12 months"], ["now-3650d", "now", "All time"],
];
const CUSTOM = "custom";
const MOST_CAMPAIGNS = 200; // a longer list is not one to choose from
const WALL = /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d$/;

const $ = (id) => document.getElementById(id);
let offered = ""; // the variables that there are controls for
let made = new Map();
let go = () => {};

/** Wires the controls; `go(change)` is called with what the viewer changed. */
export function controls(choose) {
  go = choose;
  const range = $("range"), custom = $("custom");
  range.append(...PRESETS.map(([since, until, label]) => el("option", { value: `${since} ${until}` }, label)), el("option", { value: CUSTOM }, "Custom…"));
  range.addEventListener("change", () => {
    custom.hidden = range.value !== CUSTOM;
    if (range.value === CUSTOM) $("since").focus();
    else {
      const [since, until] = range.value.split(" ");
      go({ since, until });
    }
  });
  $("compare").addEventListener("change", () => go({ compare: $("compare").value }));
  const zones = new Set(["UTC", chosen().timezone, ...(Intl.supportedValuesOf?.("timeZone") ?? [])]);
  $("timezone").append(...[...zones].map((zone) => el("option", { value: zone }, zone.replaceAll("_", " "))));
  $("timezone").addEventListener("change", () => go({ timezone: $("timezone").value }));
  $("controls").addEventListener("submit", (event) => {
    event.preventDefault();
    const [since, until, { timezone }] = [$("since").value, $("until").value, chosen()];
    if (WALL.test(since) && WALL.test(until)) go({ since: instant(since.replace(" ", "T"), timezone), until: instant(until.replace(" ", "T"), timezone) });
  });
}

/** Show the present choice in the controls. */
export function reflect() {
  for (const { reflect: show } of made.values()) show();
  const { since, until, timezone, compare } = chosen();
  const preset = PRESETS.some(([from, to]) => from === since && to === until);
  $("range").value = preset ? `${since} ${until}` : CUSTOM;
  if (compare.startsWith(CAMPAIGN) && ![...$("compare").options].some((option) => option.value === compare)) beside([{ id: compare.slice(CAMPAIGN.length), label: compare.slice(CAMPAIGN.length) }]);
  $("compare").value = compare;
  $("custom").hidden = preset;
  if (![...$("timezone").options].some((option) => option.value === timezone)) $("timezone").append(el("option", { value: timezone }, timezone));
  $("timezone").value = timezone;
}

/** What "custom" begins with: the period that was last shown. */
export function shown(since, until, timezone) {
  if ($("custom").contains(document.activeElement)) return;
  $("since").value = wall(since, timezone).replace("T", " ");
  $("until").value = wall(until, timezone).replace("T", " ");
}

/** A control for each of the board's variables, with what there is to choose ({variable: [{id, label}]}). */
export function offer(variables, options) {
  const names = JSON.stringify(variables.map((variable) => variable.name));
  if (names !== offered) {
    offered = names;
    made = new Map(variables.map((variable) => [variable.name, made.get(variable.name) ?? control(variable, (change) => go(change))]));
    $("variables").replaceChildren(...[...made.values()].map(({ node }) => node));
  }
  for (const [name, { offer: fill }] of made) fill(options[name] ?? []);
  beside(options.campaign ?? []);
}

let others = "";
/** Offer to compare with another campaign than the one that is chosen: beside several, or all, it would be none. */
function beside(campaigns) {
  const { compare, of } = chosen();
  const one = of.campaign?.length === 1 ? of.campaign[0] : null;
  const shown = campaigns.filter(({ id }) => `${CAMPAIGN}${id}` === compare || (one !== null && String(id) !== one)).slice(0, MOST_CAMPAIGNS);
  const text = JSON.stringify(shown);
  if (text === others) return;
  others = text;
  $("compare").querySelector("optgroup")?.remove();
  if (shown.length) $("compare").append(el("optgroup", { label: "With another campaign" }, ...shown.map(({ id, label }) => el("option", { value: `${CAMPAIGN}${id}` }, `With ${label}`))));
  $("compare").value = compare;
}
