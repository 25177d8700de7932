// Numbers and times as people read them. Units are called as in dashboards/panels.py, in Grafana's words.

const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const FINE = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const DASH = "–";
const missing = (value) => value === null || value === undefined || value === "";

let zone = "UTC";
const forms = new Map();

/** All times are written as they are in this timezone. */
export function zoned(timezone) {
  if (timezone !== zone) forms.clear();
  zone = timezone;
}

function form(options) {
  const key = JSON.stringify(options);
  if (!forms.has(key)) forms.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options }));
  return forms.get(key);
}

const DAY = { day: "numeric", month: "short", year: "numeric" };
const CLOCK = { hour: "2-digit", minute: "2-digit" };

export const count = (value) => (missing(value) ? DASH : COUNT.format(value));

/** For large type and axes: 1,234,567 would not fit. */
export const shortCount = (value) => (value >= 1_000_000 ? SHORT.format(value) : count(value));

/** 0 to 1 as percent, one decimal, two where one would say 0.0%. */
export function rate(value) {
  if (missing(value)) return DASH;
  const percent = value * 100;
  return `${percent.toFixed(percent > 0 && percent < 0.1 ? 2 : 1)}%`;
}

const STEPS = [[86_400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];

/** Seconds as "3 h 12 min", "42 s", "8 ms": the two largest parts. */
export function duration(value) {
  if (missing(value)) return DASH;
  const seconds = Math.abs(value);
  const sign = value < 0 ? "−" : "";
  if (seconds === 0) return "0 s";
  if (seconds < 1) return `${sign}${FINE.format(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${sign}${COUNT.format(seconds)} s`;
  if (Math.round(seconds) < 60) return `${sign}${Math.round(seconds)} s`;
  const whole = seconds < 3599.5 ? Math.round(seconds) : Math.round(seconds / 60) * 60;
  const [large, name, small, part] = STEPS.find(([size]) => whole >= size);
  const rest = Math.round((whole % large) / small);
  return rest === large / small ? `${sign}${Math.floor(whole / large) + 1} ${name}` : `${sign}${Math.floor(whole / large)} ${name}${rest ? ` ${rest} ${part}` : ""}`;
}

/** Bytes as "1.2 MiB". */
export function bytes(value) {
  if (missing(value)) return DASH;
  const power = value < 1024 ? 0 : Math.min(5, Math.floor(Math.log2(value) / 10));
  return `${COUNT.format(value / 1024 ** power)} ${["B", "KiB", "MiB", "GiB", "TiB", "PiB"][power]}`;
}

/** A moment, in the viewer's timezone: "2 Mar 2026, 09:00". */
export const moment = (value) => (missing(value) ? DASH : form({ ...DAY, ...CLOCK }).format(new Date(value)));
export const day = (value) => form({ weekday: "long", day: "numeric", month: "long", year: "numeric" }).format(new Date(value));
export const timeOfDay = (value) => form({ ...CLOCK, second: "2-digit" }).format(new Date(value));

const perSecond = (value) => (missing(value) ? DASH : `${value >= 100 ? count(Math.round(value)) : FINE.format(value)}/s`);
const plain = (value) => (missing(value) ? DASH : String(value));

const UNITS = { percentunit: rate, short: count, s: duration, bytes, cps: perSecond, dateTimeAsIso: moment };

export const value = (number, unit) => (UNITS[unit] ?? plain)(number);

/** For axes: no more digits than needed to tell the steps apart. */
export function tick(number, unit) {
  if (unit === "percentunit") return `${COUNT.format(number * 100)}%`;
  if (unit === "short") return shortCount(number);
  return value(number, unit);
}

/** How a number moved: rates in percentage points, the others in percent. Null where there is nothing to compare with. */
export function change(now, before, unit) {
  if (missing(now) || missing(before) || unit === "string" || unit === "dateTimeAsIso") return null;
  if (unit === "percentunit") {
    const points = (now - before) * 100;
    return { amount: points, text: `${signed(points, 1)} pp` };
  }
  if (before === 0) return null;
  const percent = (now / before - 1) * 100;
  return { amount: percent, text: `${signed(percent, Math.abs(percent) < 10 ? 1 : 0)}%` };
}

function signed(number, decimals) {
  const text = Math.abs(number).toFixed(decimals);
  if (Number(text) === 0) return `±${text}`;
  return `${number > 0 ? "+" : "−"}${COUNT.format(Math.trunc(Number(text)))}${text.includes(".") ? text.slice(text.indexOf(".")) : ""}`;
}

/** "7 days", for a period in milliseconds. */
export function span(milliseconds) {
  const minutes = Math.round(milliseconds / 60_000);
  const [amount, unit] =
    minutes >= 2 * 1440 ? [Math.round(minutes / 1440), "day"]
    : minutes > 90 ? [Math.round(minutes / 60), "hour"]
    : [Math.max(1, minutes), "minute"];
  return `${amount} ${unit}${amount === 1 ? "" : "s"}`;
}

/** What the steps of a series are, and how to write its times, judged by the distance of the first two. */
export function times(moments) {
  const step = moments.length > 1 ? moments[1] - moments[0] : 86_400_000;
  const [per, options] =
    step < 50_000 ? [`${Math.round(step / 1000)} s`, { ...CLOCK, second: "2-digit" }]
    : step < 3_000_000 ? [step < 90_000 ? "minute" : `${Math.round(step / 60_000)} min`, CLOCK]
    : step < 80_000_000 ? [step < 5_400_000 ? "hour" : `${Math.round(step / 3_600_000)} h`, { weekday: "short", ...CLOCK }]
    : [step < 500_000_000 ? "day" : "week", { day: "numeric", month: "short" }];
  const long = { weekday: "short", ...DAY, ...(step < 80_000_000 ? options : {}) };
  return { per, step, short: (at) => form(options).format(at), long: (at) => form(long).format(at) };
}

/** "2 Mar 2026, 00:00 to 9 Mar 2026, 00:00" */
export const period = (since, until) => `${moment(since)} to ${moment(until)}`;

export const clock = (at) => at.toLocaleTimeString("en-GB");

/** A moment as the clock on a wall of the timezone shows it, for an input: "2026-03-02T09:00". */
export function wall(at, timezone) {
  const part = Object.fromEntries(new Intl.DateTimeFormat("en-GB", { timeZone: timezone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", ...CLOCK }).formatToParts(new Date(at)).map(({ type, value: text }) => [type, text]));
  return `${part.year.padStart(4, "0")}-${part.month}-${part.day}T${part.hour}:${part.minute}`;
}

/** The moment at which the timezone's clocks show that, as ISO 8601 in UTC. Twice, because the offset itself moves. */
export function instant(text, timezone) {
  const meant = Date.parse(`${text}Z`);
  let at = meant;
  for (let turn = 0; turn < 2; turn++) at -= Date.parse(`${wall(at, timezone)}Z`) - meant;
  return new Date(at).toISOString();
}
