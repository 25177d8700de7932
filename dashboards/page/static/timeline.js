// What happened, newest first, by day: a list that is read in order without sight too.

import { el } from "./dom.js";
import { day, moment, timeOfDay, value } from "./format.js";
import { labelled } from "./table.js";

const SHOWN = 50;

// What happened, as the events and as the boards call it, to its drawing and its colour.
const KINDS = {
  sent: ["send", "grey"], delivered: ["check", "green"], skipped: ["skip", "grey"], bounce: ["cross", "vermillion"],
  deferred: ["clock", "orange"], unanswered: ["question", "orange"], open: ["eye", "blue"], click: ["pointer", "blue"],
  reply: ["reply", "green"], auto_reply: ["gear", "purple"], complaint: ["flag", "vermillion"],
  unsubscribe: ["leave", "orange"], resubscribe: ["check", "green"], snooze: ["pause", "blue"], leave: ["leave", "blue"], campaign_paused: ["pause", "vermillion"],
  campaign_resumed: ["play", "green"],
};
const SAME = {
  put_off: "deferred", waiting: "deferred", no_answer: "unanswered", not_sent: "skipped", bounced: "bounce", replied: "reply",
  automatic_reply: "auto_reply", complained: "complaint", opened: "open", clicked: "click", unsubscribed: "unsubscribe",
  took_it_back: "resubscribe", asked_for_a_pause: "snooze", left_a_list: "leave", no_more_email: "unsubscribe", email_again: "resubscribe", paused: "campaign_paused",
  resumed: "campaign_resumed",
};
const TONES = { bot: "vermillion", machine: "purple" };
const PATHS = {
  send: "M3 11 21 3l-7 18-3-7-8-3Z", check: "m5 12.5 4.5 4.5L19 7.5", clock: "M12 7v5l3.5 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  question: "M9 9a3 3 0 1 1 4.2 2.7c-.8.4-1.2 1-1.2 1.9v.6M12 18v.2", skip: "M6 6l7 6-7 6V6ZM18 6v12", cross: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Zm9.5 2.7a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.4Z",
  pointer: "M5 4l14 7-6 2-2 6L5 4Z", reply: "M10 6 4 12l6 6M4.5 12H14a6 6 0 0 1 6 6v.5",
  gear: "M12 15.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4ZM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M5.6 18.4l2.2-2.2M16.2 7.8l2.2-2.2",
  flag: "M6 21V4M6 5h11l-2 4 2 4H6", leave: "M14 5h-8v14h8M11 12h9M17 8.5l3.5 3.5L17 15.5", pause: "M8.5 6v12M15.5 6v12", play: "M8 5.5v13l10.5-6.5L8 5.5Z",
  dot: "M12 13.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Z",
};
const SELF_EVIDENT = new Set(["what", "campaign_name"]); // need no title before them
const SVG = "http://www.w3.org/2000/svg";

function icon(kind, verdict) {
  const [name, usual] = KINDS[SAME[kind] ?? kind] ?? ["dot", "grey"];
  const tone = TONES[verdict] ?? usual;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return el("span", { class: `icon is-${tone}`, "aria-hidden": "true" }, svg);
}

/** The kind as the events call it: "Auto reply" is `auto_reply`. */
const kindOf = (row, field) => String(row.kind ?? row[field.column] ?? "").toLowerCase().replace(/[\s-]+/g, "_");

const filled = (row, field) => ![null, undefined, "", "-", "–"].includes(row[field.column]);

export function timeline(description, choose) {
  const { label } = description;
  const [headline, ...rest] = description.fields;
  const verdict = rest.find((field) => field.column === "verdict");
  const reason = verdict && rest.find((field) => field.column === "reason");
  const rules = rest.find((field) => field.column === "rules_version");
  const total = rest.find((field) => field.column === "total");
  const others = rest.filter((field) => ![verdict, rules, total].includes(field));
  const days = el("ol", { class: "days" });
  const nothing = el("p", { class: "nothing", hidden: true }, description.no_value);
  const more = el("button", { type: "button", class: "plain more", hidden: true, on: { click: () => { limit = Infinity; draw(); } } });
  const older = el("p", { class: "muted", hidden: true });
  let rows = [];
  let limit = SHOWN;
  let drawn = "";
  const opened = new Set(); // of which events the details are open

  function event(row, at) {
    // What is grey, or long, waits behind "Details"; a reason belongs to its verdict.
    const said = others.filter((field) => filled(row, field) && !(field === reason && filled(row, verdict)));
    const isShort = (field) => field.color !== "grey" && String(row[field.column]).length <= 140;
    const short = said.filter(isShort), long = said.filter((field) => !isShort(field));
    const when = row[label.column];
    const id = `${when} ${row[headline.column]} ${rows.slice(0, at).filter((other) => other[label.column] === when).length}`;
    const who = verdict && filled(row, verdict)
      ? el("span", { class: `pill ${row.verdict}`, "data-tip": rules && filled(row, rules) ? `${rules.title}: ${row.rules_version}` : null }, row.verdict, reason && filled(row, reason) ? el("span", { class: "why" }, row.reason) : null)
      : null;
    const name = value(row[headline.column], headline.unit);
    const details = long.length === 0 ? null : el("details", { open: opened.has(id), on: { toggle: (change) => (change.currentTarget.open ? opened.add(id) : opened.delete(id)) } },
      el("summary", {}, "Details"),
      el("dl", {}, ...long.flatMap((field) => [el("dt", {}, field.title), el("dd", {}, value(row[field.column], field.unit))])));
    return el("li", { class: "event" }, icon(kindOf(row, headline), row.verdict),
      el("time", { datetime: when, title: moment(when) }, timeOfDay(when)),
      el("div", { class: "what" },
        el("p", {}, el("strong", {}, labelled(description, row, choose, name)), " ", who),
        short.length === 0 ? null : el("p", { class: "facts" }, ...short.map((field) => el("span", { class: field.column === "what" || field === reason ? "is-what" : null }, SELF_EVIDENT.has(field.column) ? null : el("span", { class: "muted" }, `${field.title} `), value(row[field.column], field.unit)))),
        details));
  }

  function draw() {
    const shown = rows.slice(0, limit);
    const byDay = grouped(shown, (row) => day(row[label.column]));
    let at = 0;
    days.replaceChildren(...[...byDay].map(([name, of]) => el("li", { class: "day" }, el("h3", {}, name), el("ol", { class: "events", "aria-label": name }, ...of.map((row) => event(row, at++))))));
    more.hidden = rows.length <= limit;
    more.textContent = `Show all ${rows.length}`;
    const all = total ? (rows[0]?.[total.column] ?? 0) : 0;
    older.hidden = all <= rows.length;
    older.textContent = `The newest ${rows.length} of ${all}.`;
    nothing.hidden = rows.length > 0;
  }

  return {
    node: el("div", {}, days, more, older, nothing),
    update(next) {
      const text = JSON.stringify([next, moment(0), location.search]);
      if (text === drawn) return;
      drawn = text;
      rows = next;
      draw();
    },
  };
}

function grouped(rows, of) {
  const groups = new Map();
  for (const row of rows) groups.set(of(row), [...(groups.get(of(row)) ?? []), row]);
  return groups;
}
