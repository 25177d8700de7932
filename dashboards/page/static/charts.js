// Charts on canvas by Apache ECharts. Beside each stands a table with the same numbers.

import { color, el } from "./dom.js";
import { moment, tick, times, value } from "./format.js";
import { fitting, lines } from "./marks.js";

const SYMBOLS = ["circle", "triangle", "diamond", "rect"]; // told apart by form as well as by colour
const FEW = 62; // points that still get a symbol each

const still = matchMedia("(prefers-reduced-motion: reduce)");
const charts = new Set();

/** Draw every chart again in the colours of now. */
export function recolor() {
  for (const chart of charts) chart.redraw();
}

/** Let go of all charts: their board is gone. */
export function forget() {
  for (const chart of charts) chart.end();
  charts.clear();
}

/** Of the values of a field: what a listener is told of a line. */
function told(field, rows) {
  const values = rows.map((row) => row[field.column]).filter((one) => one !== null);
  if (!values.length) return `${field.title} has none`;
  if (field.unit === "short") return `${field.title} ${value(values.reduce((sum, one) => sum + one, 0), field.unit)}`;
  return `${field.title} ${value(values.at(-1), field.unit)} at last, ${value(Math.max(...values), field.unit)} at most`;
}

const SPANS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800];

/** Steps that people count in: whole minutes, hours and days, and bytes by powers of two. */
function steps(unit, highest) {
  const interval =
    unit === "s" ? SPANS.find((span) => highest / span <= 5)
    : unit === "bytes" ? 2 ** Math.ceil(Math.log2(highest / 5))
    : 0;
  return highest > 0 && interval ? { interval, max: Math.ceil(highest / interval) * interval } : {};
}

/** A panel's rows along one axis: over time, or a histogram's columns. Counts to the left, a second unit to the right. */
export function chart(panel) {
  const overTime = panel.kind === "time-series";
  const { label } = panel;
  // A histogram draws one amount, for another on an axis of its own would be the same columns again; the table has both.
  // Text has no line; the point under the mouse and the table say it.
  const fields = overTime ? panel.fields.filter((field) => field.unit !== "string") : panel.fields.filter((field) => field.unit === panel.fields[0].unit);
  const units = [...new Set(fields.map((field) => field.unit))].slice(0, 2);
  const hasLines = fields.some((field) => field.line);
  const canvas = el("div", { class: "chart", role: "img" });
  const legend = fields.length < 2 ? null : el("div", { class: "legend", role: "group", "aria-label": "Lines shown" }, ...fields.map((field) =>
    el("button", { type: "button", "aria-pressed": "true", title: `Show or hide ${field.title}`, on: { click: (event) => toggle(event.currentTarget, field) } },
      el("span", { class: `key ${field.line ? "stroke" : hasLines ? "pale" : ""} is-${field.color}`, "aria-hidden": "true" }), field.title)));
  const node = el("div", { class: "plot" }, legend, el("div", { class: "canvas" }, canvas));
  let instance = null;
  let rows = [];
  let marks = [];
  let other = null; // rows of the period that it is compared with, in the order of `rows`
  let against = "";
  let form = times([]);
  let drawn = "";
  const resized = new ResizeObserver(() => {
    instance?.resize();
    if (marks.length || !overTime) draw(); // what has room for its text
  });

  function toggle(button, field) {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    instance?.dispatchAction({ type: "legendToggleSelect", name: field.title });
  }

  const heading = (row) => (overTime ? form.long(new Date(row[label.column])) : `${label.title}: ${value(row[label.column], label.unit)}`);

  function tooltip(points) {
    const at = points[0].dataIndex;
    // An element, not HTML text: style attributes in text would need a weaker content security policy.
    return el("div", { class: "point" }, el("div", { class: "when" }, heading(rows[at])),
      ...panel.fields.map((field) => el("div", { class: "line" }, el("span", { class: fields.includes(field) ? `key is-${field.color}` : "" }), el("span", {}, field.title), el("b", {}, value(rows[at][field.column], field.unit)), other?.[at] ? el("span", { class: "other" }, value(other[at][field.column], field.unit)) : null)),
      other?.[at] ? el("div", { class: "when" }, `Beside each: ${form.long(new Date(other[at][label.column]))}`) : null,
      ...lines(marks, rows, label.column, form.step).filter((mark) => Math.round(mark.at) === at).map((mark) => el("div", { class: "mark" }, `${moment(mark.time)}: ${mark.text}`)));
  }

  function marked(muted) {
    const width = canvas.clientWidth || 600;
    const placed = lines(marks, rows, label.column, form.step).map((mark) => ({ ...mark, x: ((mark.at + 0.5) / rows.length) * (width - 60) }));
    return {
      type: "line", name: "marks", xAxisIndex: 1, data: [], silent: true,
      markLine: {
        symbol: ["none", "none"], silent: true, animation: false,
        lineStyle: { color: color("vermillion"), type: "dashed", width: 1.25 },
        label: { color: muted, fontSize: 11, position: "end", padding: [0, 2] },
        // Each text has the room up to the next line; what does not fit is left to the tooltip and the table.
        data: placed.map((mark, at) => {
          const right = (placed[at + 1]?.x ?? width - 30) - mark.x, left = mark.x - (placed[at - 1]?.x ?? 0);
          const isLast = at === placed.length - 1;
          const align = isLast && right < 150 && left > right + 250 ? "right" : "left";
          const text = fitting(mark.text, (align === "left" ? right : left - 250) - 8, `11px ${getComputedStyle(document.body).fontFamily}`);
          // A resume is told from a pause by its colour and by a line without gaps.
          const lineStyle = mark.isResumed ? { color: color("green"), type: "solid" } : {};
          return { xAxis: mark.at, lineStyle, label: { show: text !== "", formatter: text, align } };
        }),
      },
    };
  }

  /** Every column of a histogram has its name, slanted where it is narrow. */
  function named() {
    const width = Math.floor(((canvas.clientWidth || 600) - 60) / Math.max(1, rows.length));
    return width < 48 ? { interval: 0, rotate: 50, fontSize: 10.5, width: 80, overflow: "none" } : { interval: 0, rotate: 0, fontSize: 11.5, width: width - 4, overflow: "break", lineHeight: 14 };
  }

  /** The other period's values of a field, as a dashed line in its colour. Of the field's own name, so that one button hides both. */
  function beside(field) {
    return {
      name: field.title, type: "line", yAxisIndex: Math.max(0, units.indexOf(field.unit)), data: rows.map((_, at) => other[at]?.[field.column] ?? null),
      color: color(field.color), lineStyle: { width: 1.5, type: [5, 4], opacity: 0.75 }, symbol: "none", silent: true, emphasis: { disabled: true },
    };
  }

  function draw() {
    if (!instance) {
      instance = window.echarts.init(canvas, null, { renderer: "canvas" });
      resized.observe(canvas);
    }
    const [text, muted, line] = [color("text"), color("muted"), color("line")];
    const highest = (unit) => Math.max(0, ...[...rows, ...(other ?? [])].flatMap((row) => fields.filter((field) => field.unit === unit).map((field) => row[field.column] ?? 0)));
    instance.setOption({
      animation: !still.matches,
      animationDuration: 250,
      animationDurationUpdate: 250,
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: text },
      grid: { left: 8, right: overTime && form.step < 50_000 ? 30 : 16, top: marks.length ? 26 : 14, bottom: overTime ? 4 : 26, containLabel: true },
      legend: { show: false, data: fields.map((field) => field.title) },
      tooltip: { trigger: "axis", confine: true, className: "chart-tip", renderMode: "html", appendTo: "body", formatter: tooltip, backgroundColor: "transparent", borderWidth: 0, padding: 0, extraCssText: "box-shadow:none", axisPointer: { type: hasLines ? "line" : "shadow", lineStyle: { color: muted, type: "dashed" }, shadowStyle: { color: muted, opacity: 0.1 } }, transitionDuration: 0 },
      xAxis: [
        { type: "category", data: rows.map((row) => (overTime ? form.short(new Date(row[label.column])) : value(row[label.column], label.unit))), axisTick: { show: false }, axisLine: { lineStyle: { color: line }, onZero: false }, name: overTime ? "" : label.title, nameLocation: "middle", nameGap: (canvas.clientWidth || 600) / Math.max(1, rows.length) < 52 ? 58 : 34, nameTextStyle: { color: muted, fontSize: 11.5 }, axisLabel: { color: muted, fontSize: 11.5, margin: 12, ...(overTime ? { hideOverlap: true } : named()) } },
        // Beneath it the same axis as a number, for marks lie between the points.
        { type: "value", show: false, min: -0.5, max: rows.length - 0.5, axisPointer: { show: false } },
      ],
      yAxis: units.map((unit, at) => ({ type: "value", position: at ? "right" : "left", min: 0, minInterval: unit === "short" ? 1 : 0, ...steps(unit, highest(unit)), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: muted, fontSize: 11.5, formatter: (number) => tick(number, unit) }, splitLine: { show: at === 0, lineStyle: { color: line } } })),
      series: [...fields.map((field, at) => ({
        name: field.title,
        type: field.line ? "line" : "bar",
        yAxisIndex: Math.max(0, units.indexOf(field.unit)),
        stack: panel.stacked ? field.unit : null,
        data: rows.map((row) => row[field.column]),
        color: color(field.color),
        barMinWidth: 2,
        barMaxWidth: overTime ? 28 : 64,
        barCategoryGap: overTime ? "20%" : "12%",
        itemStyle: field.line ? {} : { opacity: hasLines ? 0.45 : 0.85, borderRadius: panel.stacked ? 0 : [3, 3, 0, 0] },
        areaStyle: field.line && panel.stacked ? { opacity: 0.25 } : null,
        lineStyle: { width: 2.25 },
        symbol: SYMBOLS[at % SYMBOLS.length],
        symbolSize: 5,
        showSymbol: rows.length <= FEW,
        emphasis: { disabled: true },
      })), ...(other ? fields.map(beside) : []), ...(overTime ? [marked(muted)] : [])],
    }, { replaceMerge: ["series"] });
  }

  const self = {
    node,
    /** Returns how the steps of time are written. */
    update(next, marksNext = [], otherNext = null, againstNext = "") {
      const changed = JSON.stringify([next, marksNext, otherNext, moment(0)]);
      if (changed === drawn) return form;
      drawn = changed;
      rows = next;
      marks = marksNext;
      other = otherNext;
      against = againstNext;
      if (overTime) form = times(rows.map((row) => new Date(row[label.column])));
      const all = fields.map((field) => told(field, rows)).join(", ");
      const by = overTime ? `per ${form.per}, in all` : `by ${label.title.toLowerCase()}, in all`;
      canvas.setAttribute("aria-label", `${panel.title} ${by}: ${all}. ${other ? `Dashed lines are ${against}: ${fields.map((field) => told(field, other)).join(", ")}. ` : ""}${marks.length ? `${marks.length} moments are marked. ` : ""}The numbers are in the table below the chart.`);
      draw();
      return form;
    },
    redraw() {
      if (instance) draw();
    },
    end() {
      resized.disconnect();
      instance?.dispose();
      instance = null;
    },
    /** Without anything to show, only the frame stays. */
    set visible(is) {
      canvas.style.visibility = is ? "visible" : "hidden";
    },
  };
  charts.add(self);
  return self;
}
