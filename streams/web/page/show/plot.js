// A plot over time: lines, or areas on top of each other. Drawn in SVG; read by keyboard as a slider along time, and as a
// table on demand.

import { add, fill, freshId, h, s } from "./dom.js";
import { NOTHING, clock } from "./format.js";
import { instants, steps } from "./scale.js";

const HEIGHT = 148;
const TOP = 8;
const BOTTOM = 20;
const LEFT = 46;
const RIGHT = 4;
const COLOURS = 8;

/**
 * plot({ title, hint, stacked, format, order }) → { element, show(ticks, columns) }
 * columns: { label: [value or null …] }; `order` says which labels come first, `colours` which have one of their own.
 * A label that is 0 all the time is not shown.
 */
export function plot({ title, hint = null, stacked = false, format, words = (label) => label, order = [], colours: chosen = {}, headline = null }) {
  const titleId = freshId("plot");
  const total = h("output", { class: "total", "aria-hidden": "true" });
  const drawing = s("svg", { class: "drawing", "aria-hidden": "true", height: HEIGHT });
  const cursor = h("div", {
    class: "cursor", role: "slider", tabindex: "0", "aria-labelledby": titleId, "aria-valuemin": 0, "aria-valuemax": 0, "aria-valuenow": 0,
  });
  const legend = h("ul", { class: "legend" });
  const tableButton = h("button", { type: "button", class: "quiet small", "aria-expanded": "false" }, "Table");
  const tablePlace = h("div", { class: "plot-table", hidden: true, tabindex: "0", role: "region", "aria-label": `${title}: table` });
  const element = h(
    "section",
    { class: "card plot", "aria-labelledby": titleId },
    h("header", {}, h("h2", { id: titleId }, title), total, tableButton),
    hint ? h("p", { class: "hint" }, hint) : null,
    h("div", { class: "stage" }, drawing, cursor),
    legend,
    tablePlace,
  );
  const colours = new Map(Object.entries(chosen));
  let data = { ticks: [], labels: [], columns: {} };
  let at = null; // the tick that is looked at; null: the newest
  let width = 0;

  new ResizeObserver(([entry]) => {
    width = Math.round(entry.contentRect.width);
    draw();
  }).observe(drawing.parentElement ?? element);

  function colour(label) {
    if (!colours.has(label)) {
      const taken = new Set(colours.values());
      colours.set(label, [...Array(COLOURS).keys()].find((each) => !taken.has(each)) ?? colours.size % COLOURS);
    }
    return `series series-${colours.get(label)}`;
  }

  function show(ticks, columns) {
    const known = Object.keys(columns).filter((label) => columns[label].some((value) => value));
    const labels = [...order.filter((label) => known.includes(label)), ...known.filter((label) => !order.includes(label)).sort()];
    labels.forEach(colour);
    data = { ticks, labels, columns };
    if (at !== null && !ticks.includes(at)) at = null;
    draw();
    if (!tablePlace.hidden) drawTable();
  }

  function indexOfCursor() {
    return at === null ? data.ticks.length - 1 : data.ticks.indexOf(at);
  }

  function draw() {
    const { ticks, labels, columns } = data;
    fill(drawing);
    drawing.setAttribute("width", width);
    drawing.setAttribute("viewBox", `0 0 ${Math.max(width, 1)} ${HEIGHT}`);
    const index = indexOfCursor();
    drawLegend(index);
    if (width < 80) return;
    const from = ticks[0];
    const to = ticks.at(-1);
    const x = (tick) => LEFT + ((tick - from) / Math.max(to - from, 1)) * (width - LEFT - RIGHT);
    const sums = ticks.map((_, position) => labels.reduce((sum, label) => sum + (columns[label][position] ?? 0), 0));
    const largest = stacked ? Math.max(0, ...sums) : Math.max(0, ...labels.flatMap((label) => columns[label].map((value) => value ?? 0)));
    const ys = steps(largest);
    const y = (value) => TOP + (1 - value / ys.at(-1)) * (HEIGHT - TOP - BOTTOM);
    for (const value of ys) {
      add(drawing, s("line", { class: value === 0 ? "axis" : "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
        s("text", { class: "tick", x: LEFT - 6, y: y(value) + 3.5, "text-anchor": "end" }, value === 0 ? "0" : format(value)));
    }
    if (ticks.length < 2) return;
    for (const tick of instants(from, to, Math.max(2, Math.floor(width / 110)))) {
      if (x(tick) > LEFT + 14 && x(tick) < width - 22) add(drawing, s("text", { class: "tick", x: x(tick), y: HEIGHT - 5, "text-anchor": "middle" }, clock(tick)));
    }
    if (stacked) drawAreas(x, y);
    else for (const label of labels) add(drawing, s("path", { class: `line ${colour(label)}`, d: line(columns[label], x, y) }));
    if (at !== null && index >= 0) {
      add(drawing, s("line", { class: "here", x1: x(at), x2: x(at), y1: TOP, y2: HEIGHT - BOTTOM }));
      for (const label of stacked ? [] : labels) {
        const value = columns[label][index];
        if (value !== null) add(drawing, s("circle", { class: `point ${colour(label)}`, cx: x(at), cy: y(value), r: 3 }));
      }
    }
  }

  function line(values, x, y) {
    let d = "";
    let pen = false;
    values.forEach((value, index) => {
      if (value === null) pen = false;
      else {
        d += `${pen ? "L" : "M"}${x(data.ticks[index]).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = true;
      }
    });
    return d;
  }

  function drawAreas(x, y) {
    let below = data.ticks.map(() => 0);
    for (const label of data.labels) {
      const above = below.map((value, index) => value + (data.columns[label][index] ?? 0));
      const there = data.ticks.map((tick, index) => `${x(tick).toFixed(1)} ${y(above[index]).toFixed(1)}`);
      const back = data.ticks.map((tick, index) => `${x(tick).toFixed(1)} ${y(below[index]).toFixed(1)}`).reverse();
      add(drawing, s("path", { class: `area ${colour(label)}`, d: `M${there.join("L")}L${back.join("L")}Z` }),
        s("path", { class: `line ${colour(label)}`, d: edge(data.columns[label], there) }));
      below = above;
    }
  }

  /** The upper edge of an area, only where there is any of it: where it is 0 it would hide the one below. */
  function edge(values, there) {
    let d = "";
    values.forEach((value, index) => {
      if (!value && !values[index - 1] && !values[index + 1]) return;
      d += `${index > 0 && (value || values[index - 1]) ? "L" : "M"}${there[index]}`;
    });
    return d.replace(/^L/, "M");
  }

  function drawLegend(index) {
    const { ticks, labels, columns } = data;
    fill(legend, labels.map((label) =>
      h("li", {}, h("span", { class: `swatch ${colour(label)}`, "aria-hidden": "true" }), h("span", { class: "name" }, words(label)), h("b", {}, format(columns[label][index] ?? null)))));
    if (labels.length === 0) fill(legend, h("li", { class: "none" }, ticks.length ? "Nothing in this time." : "The first figures come within seconds."));
    const sum = labels.reduce((value, label) => value + (columns[label][index] ?? 0), 0);
    const said = headline ? headline(columns, index) : stacked && labels.length ? format(sum) : "";
    total.textContent = said;
    cursor.setAttribute("aria-valuemax", Math.max(0, ticks.length - 1));
    cursor.setAttribute("aria-valuenow", Math.max(0, index));
    const values = labels.map((label) => `${words(label)} ${format(columns[label][index] ?? null)}`);
    cursor.setAttribute("aria-valuetext", ticks.length ? `${clock(ticks[index])}: ${values.join(", ") || NOTHING}` : "no figures yet");
    element.dataset.at = at === null ? "" : clock(at);
  }

  function look(index) {
    const { ticks } = data;
    at = index >= ticks.length - 1 || index < 0 ? null : ticks[index];
    draw();
  }

  cursor.addEventListener("pointermove", (event) => {
    const share = (event.offsetX - LEFT) / Math.max(width - LEFT - RIGHT, 1);
    look(Math.max(0, Math.round(share * (data.ticks.length - 1))));
  });
  cursor.addEventListener("pointerleave", () => look(-1));
  cursor.addEventListener("blur", () => look(-1));
  cursor.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, ArrowDown: -1, ArrowUp: 1, Home: -Infinity, End: Infinity };
    if (!(event.key in moves)) return;
    event.preventDefault();
    look(Math.max(0, Math.min(data.ticks.length - 1, indexOfCursor() + moves[event.key])));
  });
  tableButton.addEventListener("click", () => {
    tablePlace.hidden = !tablePlace.hidden;
    tableButton.setAttribute("aria-expanded", String(!tablePlace.hidden));
    if (!tablePlace.hidden) drawTable();
  });

  function drawTable() {
    const { ticks, labels, columns } = data;
    const rows = ticks.map((tick, index) => h("tr", {}, h("th", { scope: "row" }, clock(tick)), labels.map((label) => h("td", { class: "number" }, format(columns[label][index] ?? null)))));
    fill(tablePlace, h("table", {}, h("caption", { class: "unseen" }, title), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), labels.map((label) => h("th", { scope: "col", class: "number" }, words(label))))), h("tbody", {}, rows.reverse().slice(0, 60))));
  }

  return { element, show };
}

/** A line without axes for a small place. */
export function sparkline(values, { width = 96, height = 24 } = {}) {
  const known = values.filter((value) => value !== null && value !== undefined);
  const largest = Math.max(...known, 0);
  const drawing = s("svg", { class: "sparkline", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", preserveAspectRatio: "none" });
  if (known.length < 2) return drawing;
  const points = values.map((value, index) => `${((index / (values.length - 1)) * width).toFixed(1)} ${(height - 2 - ((value ?? 0) / (largest || 1)) * (height - 4)).toFixed(1)}`);
  return add(drawing, s("path", { class: "fill", d: `M0 ${height}L${points.join("L")}L${width} ${height}Z` }), s("path", { class: "stroke", d: `M${points.join("L")}` }));
}
