// Numbers and times as people read them.

const COUNT = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const DASH = "–";

export const count = (value) => (value === null || value === undefined ? DASH : COUNT.format(value));

/** For large type: 1,234,567 would not fit. */
export const shortCount = (value) => (value >= 1_000_000 ? SHORT.format(value) : count(value));

/** 0 to 1 as percent, one decimal, two where one would say 0.0%. */
export function rate(value) {
  if (value === null || value === undefined) return DASH;
  const percent = value * 100;
  return `${percent.toFixed(percent > 0 && percent < 0.1 ? 2 : 1)}%`;
}

export function value(number, unit) {
  if (unit === "percentunit") return rate(number);
  if (unit === "short") return count(number);
  return number === null || number === undefined || number === "" ? DASH : String(number);
}

/** How a number moved: rates in percentage points, counts in percent. Null where there is nothing to compare with. */
export function change(now, before, unit) {
  if (now === null || before === null || now === undefined || before === undefined) return null;
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

/** "previous 7 days", for a period in milliseconds. */
export function span(milliseconds) {
  const minutes = Math.round(milliseconds / 60_000);
  const [amount, unit] =
    minutes >= 2 * 1440 ? [Math.round(minutes / 1440), "day"]
    : minutes > 90 ? [Math.round(minutes / 60), "hour"]
    : [Math.max(1, minutes), "minute"];
  return `${amount} ${unit}${amount === 1 ? "" : "s"}`;
}

/** What the steps of a series are, and how to write its times, judged by the distance of the first two. */
export function times(moments, timezone) {
  const step = moments.length > 1 ? moments[1] - moments[0] : 86_400_000;
  const [per, options] =
    step < 3_000_000 ? ["minute", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }]
    : step < 80_000_000 ? ["hour", { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }]
    : ["day", { day: "numeric", month: "short" }];
  const short = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: timezone });
  const long = new Intl.DateTimeFormat("en-GB", {
    weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: timezone,
    ...(per === "day" ? {} : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
  });
  return { per, short: (moment) => short.format(moment), long: (moment) => long.format(moment) };
}

/** "2 Mar 2026, 00:00 to 9 Mar 2026, 00:00 (Europe/Paris)" */
export function period(since, until, timezone) {
  const form = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
    timeZone: timezone,
  });
  return `${form.format(since)} to ${form.format(until)} (${timezone})`;
}

export const clock = (moment) => moment.toLocaleTimeString("en-GB");
