// The controls above a board: its variables, the period and the timezone.

import { chosen } from "./choice.js";
import { el } from "./dom.js";
import { instant, wall } from "./format.js";
import { control } from "./menu.js";

const PRESETS = [
  ["now-15m", "Last 15 minutes"], ["now-1h", "Last hour"], ["now-3h", "Last 3 hours"], ["now-6h", "Last 6 hours"], ["now-24h", "Last 24 hours"],
  ["now-7d", "Last 7 days"], ["now-30d", "Last 30 days"], ["now-90d", "Last 90 days"], ["now-365d", "Last 12 months"],
];
const CUSTOM = "custom";

const $ = (id) => document.getElementById(id);
let offered = ""; // the variables that there are controls for
let made = new Map();
let go = () => {};

/** Wires the controls; `go(change)` is called with what the viewer changed. */
export function controls(choose) {
  go = choose;
  const range = $("range"), custom = $("custom");
  range.append(...PRESETS.map(([text, label]) => el("option", { value: text }, label)), el("option", { value: CUSTOM }, "Custom…"));
  range.addEventListener("change", () => {
    custom.hidden = range.value !== CUSTOM;
    if (range.value === CUSTOM) $("since").focus();
    else go({ since: range.value, until: "now" });
  });
  const zones = new Set(["UTC", chosen().timezone, ...(Intl.supportedValuesOf?.("timeZone") ?? [])]);
  $("timezone").append(...[...zones].map((zone) => el("option", { value: zone }, zone.replaceAll("_", " "))));
  $("timezone").addEventListener("change", () => go({ timezone: $("timezone").value }));
  $("controls").addEventListener("submit", (event) => {
    event.preventDefault();
    const [since, until, { timezone }] = [$("since").value, $("until").value, chosen()];
    if (since && until) go({ since: instant(since, timezone), until: instant(until, timezone) });
  });
}

/** Show the present choice in the controls. */
export function reflect() {
  for (const { reflect: show } of made.values()) show();
  const { since, until, timezone } = chosen();
  const preset = until === "now" && PRESETS.some(([text]) => text === since);
  $("range").value = preset ? since : CUSTOM;
  $("custom").hidden = preset;
  if (![...$("timezone").options].some((option) => option.value === timezone)) $("timezone").append(el("option", { value: timezone }, timezone));
  $("timezone").value = timezone;
}

/** What "custom" begins with: the period that was last shown. */
export function shown(since, until, timezone) {
  if ($("custom").contains(document.activeElement)) return;
  $("since").value = wall(since, timezone);
  $("until").value = wall(until, timezone);
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
}
