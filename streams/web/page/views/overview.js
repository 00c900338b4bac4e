// The overview: what needs attention, the straight line, the plots, the workers. New figures every other second.

import { get, query } from "../ask/api.js";
import { poll } from "../ask/poll.js";
import { isAbort } from "../ask/problems.js";
import { fill, h } from "../show/dom.js";
import { chip, when } from "../show/chips.js";
import { latency, plural, short } from "../show/format.js";
import { table } from "../show/table.js";
import { announce } from "../shell/announce.js";
import { showConnection } from "../shell/frame.js";
import { shortcutsOf } from "../shell/shortcuts.js";
import { attention } from "./overview_attention.js";
import { Figures } from "./overview_data.js";
import { flow } from "./overview_flow.js";
import { plots } from "./overview_plots.js";

const EVERY_MS = 2_000;
const SPANS = [[120_000, "2 min"], [300_000, "5 min"], [600_000, "10 min"]];
const figures = new Figures(); // kept while other views are shown

export async function show({ body, heading, signal }) {
  let span = 300_000;
  let paused = false;
  const parts = { attention: attention(), flow: flow(), plots: plots(), workers: workers(), services: services() };
  const problem = h("div", { role: "alert" });
  const spans = h("div", { class: "segments", role: "group", "aria-label": "How much of the past" }, SPANS.map(([each, words]) =>
    h("button", { type: "button", "aria-pressed": String(each === span), onclick: (event) => choose(each, event.currentTarget) }, words)));
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => setPaused(!paused) }, "Pause");
  heading.after(h("div", { class: "toolbar" }, spans, pause));
  fill(body, problem, parts.attention.element, parts.flow.element, parts.plots.element,
    h("section", { class: "card", "aria-labelledby": "services-title" }, h("h2", { id: "services-title" }, "Services"), parts.services.element),
    h("section", { class: "card", "aria-labelledby": "workers-title" }, h("h2", { id: "workers-title" }, "Workers"), parts.workers.element));

  function choose(each, button) {
    span = each;
    for (const other of spans.children) other.setAttribute("aria-pressed", String(other === button));
    draw();
  }
  function setPaused(value) {
    paused = value;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    announce(paused ? "The figures stand still." : "The figures go on.");
    if (!paused) draw();
  }
  function draw() {
    if (!figures.answer) return;
    const ticks = figures.last(span);
    parts.attention.show(figures);
    parts.flow.show(figures);
    parts.plots.show(figures, ticks);
    parts.workers.show(figures.answer.workers);
    parts.services.show(figures);
  }

  shortcutsOf(signal, [["p", "Pause the figures, or go on", () => setPaused(!paused)]]);
  draw();
  poll(
    async () => {
      try {
        figures.take(await get(`overview${query({ since: figures.since })}`, { signal }));
      } catch (error) {
        if (!isAbort(error)) {
          showConnection("bad", "no answer");
          fill(problem, h("p", { class: "notice bad" }, `${error.message} The figures are those of before; the page goes on asking.`));
        }
        throw error;
      }
      fill(problem);
      say(figures.answer.workers);
      if (!paused) draw();
    },
    EVERY_MS,
    signal,
  );
}

function say(all) {
  const silent = all.filter((each) => !each.answered).length;
  const unready = all.filter((each) => each.answered && !each.ready).length;
  if (silent) showConnection("warn", `${all.length - silent} of ${plural(all.length, "worker")}`);
  else if (unready) showConnection("warn", "partitions move");
  else showConnection("good", plural(all.length, "worker"));
}

function services() {
  const shown = table("Services that notifications are sent to", [
    { name: "Service", heading: true, cell: (each) => each.name },
    { name: "Breaker", cell: (each) => (each.open ? chip("open", "bad") : chip("closed", "good")) },
    { name: "In flight", number: true, cell: (each) => short(each.inFlight) },
    { name: "Places", number: true, cell: (each) => short(each.places) },
    { name: "Answers within", number: true, cell: (each) => latency(each.seconds) },
  ], { empty: "Nothing was sent yet by these workers." });
  return {
    element: shown.element,
    show(figures) {
      const of = (series, name) => figures.now(series)[name] ?? null;
      shown.show(Object.keys(figures.now("breakers")).map((name) => ({
        name, open: of("breakers", name) > 0, inFlight: of("in_flight", name), places: of("places", name), seconds: of("answer_seconds", name) || null,
      })));
    },
  };
}

function workers() {
  const shown = table("Workers, and which partitions each works on", [
    { name: "Worker", heading: true, cell: (each) => h("span", { class: "id" }, each.url) },
    { name: "State", cell: (each) => (!each.answered ? chip("no answer", "bad") : each.ready ? chip("ready", "good") : chip("partitions move", "warn")) },
    { name: "Partitions", cell: (each) => partitions(each) },
    { name: "Queued", number: true, cell: (each) => (each.queued ? short(Object.values(each.queued).reduce((sum, value) => sum + value, 0)) : "–") },
    { name: "Since", cell: (each) => when(each.started_at) ?? "–" },
    { name: "Version", cell: (each) => each.version ?? "–" },
  ]);
  let last = "";
  return {
    element: shown.element,
    show(all) {
      const text = JSON.stringify(all);
      if (text !== last) shown.show(all);
      last = text;
    },
  };
}

/** Partition numbers as stretches: 0–2, 5. Where all stages have the same, once. */
function partitions(worker) {
  const found = Object.entries(worker.partitions ?? {}).map(([stage, numbers]) => [stage, stretches(numbers)]);
  const texts = new Set(found.map(([, text]) => text));
  if (found.length === 0) return "–";
  if (texts.size === 1) return found[0][1] || "none";
  return found.map(([stage, text]) => `${stage} ${text || "none"}`).join("; ");
}

function stretches(numbers) {
  const found = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`)).join(", ");
}
