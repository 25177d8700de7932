// Charts on canvas by Apache ECharts. Beside each stands a table with the same numbers.

import { color, el } from "./dom.js";
import { count, times } from "./format.js";

const SYMBOLS = ["circle", "triangle", "diamond", "rect"]; // told apart by form as well as by colour
const FEW = 62; // points that still get a symbol each

const still = matchMedia("(prefers-reduced-motion: reduce)");
const charts = new Set();

/** Draw every chart again in the colours of now. */
export function recolor() {
  for (const chart of charts) chart.redraw();
}

/** A panel's rows over time: bars and lines on one axis of counts. */
export function series(panel) {
  const canvas = el("div", { class: "chart", role: "img" });
  const keys = panel.fields.map((field) => el("button", { type: "button", "aria-pressed": "true", title: `Show or hide ${field.title}`, on: { click: (event) => toggle(event.currentTarget, field) } },
    el("span", { class: `key ${field.line ? "stroke" : "pale"} is-${field.color}`, "aria-hidden": "true" }), field.title));
  const node = el("div", { class: "plot" }, el("div", { class: "legend", role: "group", "aria-label": "Lines shown" }, ...keys), el("div", { class: "canvas" }, canvas));
  let chart = null;
  let rows = [];
  let timezone = "UTC";
  let drawn = "";

  function toggle(button, field) {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    chart?.dispatchAction({ type: "legendToggleSelect", name: field.title });
  }

  function tooltip(points) {
    const { long } = times(rows.map((row) => new Date(row[panel.label.column])), timezone);
    const at = points[0].dataIndex;
    // An element, not HTML text: style attributes in text would need a weaker content security policy.
    return el("div", { class: "point" },
      el("div", { class: "when" }, long(new Date(rows[at][panel.label.column]))),
      ...panel.fields.map((field) => el("div", { class: "line" }, el("span", { class: `key is-${field.color}` }), el("span", {}, field.title), el("b", {}, count(rows[at][field.column])))));
  }

  function draw() {
    if (!chart) {
      chart = window.echarts.init(canvas, null, { renderer: "canvas" });
      new ResizeObserver(() => chart.resize()).observe(canvas);
    }
    const [text, muted, line] = [color("text"), color("muted"), color("line")];
    const moments = rows.map((row) => new Date(row[panel.label.column]));
    const form = times(moments, timezone);
    const font = getComputedStyle(document.body).fontFamily;
    chart.setOption({
      animation: !still.matches,
      animationDuration: 250,
      animationDurationUpdate: 250,
      textStyle: { fontFamily: font, color: text },
      grid: { left: 8, right: 24, top: 14, bottom: 4, containLabel: true },
      legend: { show: false },
      tooltip: { trigger: "axis", confine: true, className: "chart-tip", renderMode: "html", appendTo: "body", formatter: tooltip, backgroundColor: "transparent", borderWidth: 0, padding: 0, extraCssText: "box-shadow:none", axisPointer: { type: "line", lineStyle: { color: muted, type: "dashed" } }, transitionDuration: 0 },
      xAxis: { type: "category", data: moments.map(form.short), axisTick: { show: false }, axisLine: { lineStyle: { color: line } }, axisLabel: { color: muted, fontSize: 11.5, hideOverlap: true, margin: 12 } },
      yAxis: { type: "value", minInterval: 1, axisLabel: { color: muted, fontSize: 11.5, formatter: (number) => count(number) }, splitLine: { lineStyle: { color: line } } },
      series: panel.fields.map((field, at) => ({
        name: field.title,
        type: field.line ? "line" : "bar",
        data: rows.map((row) => row[field.column]),
        color: color(field.color),
        barMaxWidth: 28,
        itemStyle: field.line ? {} : { opacity: 0.45, borderRadius: [3, 3, 0, 0] },
        lineStyle: { width: 2.25 },
        symbol: SYMBOLS[at % SYMBOLS.length],
        symbolSize: 5,
        showSymbol: rows.length <= FEW,
        emphasis: { disabled: true },
      })),
    }, { notMerge: false });
  }

  const self = {
    node,
    /** Returns what the steps are: day, hour or minute. */
    update(next, zone) {
      const changed = JSON.stringify([next, zone]);
      rows = next;
      timezone = zone;
      const form = times(rows.map((row) => new Date(row[panel.label.column])), zone);
      if (changed !== drawn) {
        drawn = changed;
        const totals = panel.fields.map((field) => `${field.title} ${count(rows.reduce((sum, row) => sum + row[field.column], 0))}`);
        canvas.setAttribute("aria-label", `${panel.title} per ${form.per}, in all: ${totals.join(", ")}. The numbers are in the table below the chart.`);
        draw();
      }
      return form;
    },
    redraw() {
      if (chart) draw();
    },
    /** Without anything to show, only the frame stays. */
    set visible(is) {
      canvas.style.visibility = is ? "visible" : "hidden";
    },
  };
  charts.add(self);
  return self;
}
