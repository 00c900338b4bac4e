// The straight line with the figures on it: where events come in, what each stage does with them, where they go.

import { fill, h } from "../show/dom.js";
import { count, perSecond, short } from "../show/format.js";
import { href } from "../shell/router.js";

const is = (...labels) => (label) => labels.includes(label);

function node(name, title, words, link = null) {
  const main = h("b", { class: "figure" }, "–");
  const rest = h("ul", {});
  const head = link ? h("a", { href: link }, title) : title;
  const element = h("li", { class: `node node-${name}` }, h("h3", {}, head), h("p", { class: "hint" }, words), main, rest);
  return {
    element,
    show(figure, lines, kind = "") {
      main.textContent = figure;
      element.dataset.kind = kind;
      fill(rest, lines.filter(([, value]) => value !== null).map(([name, value, kind]) => h("li", { class: kind ?? null }, h("span", {}, name), h("b", {}, value))));
    },
  };
}

export function flow() {
  const suppress = node("suppress", "Suppress", "one for each user and type in the window");
  const schedule = node("schedule", "Schedule", "until it is due", href("schedule"));
  const deliver = node("deliver", "Deliver", "claimed first, then sent");
  const providers = node("providers", "Providers", "what they have answered");
  const letters = node("letters", "Dead letters", "kept, mended, replayed", href("letters"));
  const element = h(
    "section",
    { class: "flow", "aria-labelledby": "flow-title" },
    h("h2", { id: "flow-title", class: "unseen" }, "The way of a notification"),
    h("ol", {}, suppress.element, deliver.element, providers.element, schedule.element, letters.element),
  );

  function show(figures) {
    const decided = figures.sum("events");
    const queued = (stage) => figures.answer.workers.reduce((sum, each) => sum + (each.queued?.[stage] ?? 0), 0);
    const lag = (stage) => figures.now("lag")[stage] ?? null;
    const behind = (stage) => ["behind", lag(stage) === null ? short(queued(stage)) : short(lag(stage)), (lag(stage) ?? queued(stage)) > 10_000 ? "warn" : null];
    suppress.show(perSecond(decided), [
      ["admitted", rate(figures.sum("events", is("admitted")))],
      ["suppressed", rate(figures.sum("events", is("suppressed")))],
      ["duplicate", rate(figures.sum("events", is("duplicate")))],
      ["slots", amount(figures.sum("slots"))],
      behind("suppress"),
    ]);
    schedule.show(count(figures.sum("pending")), [
      ["released", rate(figures.sum("schedule", is("released", "retries_released")))],
      ["put off", rate(figures.sum("schedule", is("scheduled", "retries_taken")))],
      behind("schedule"),
    ]);
    deliver.show(perSecond(figures.sum("ended")), [
      ["in flight", amount(figures.sum("in_flight"))],
      ["places", amount(figures.sum("places"))],
      ["retries", rateIfAny(figures.sum("retries"))],
      behind("deliver"),
      ["users of broadcasts", rateIfAny(figures.sum("broadcast_users", is("emitted")))],
    ]);
    const outcome = (wanted) => figures.sum("sends", (label) => label.endsWith(` ${wanted}`));
    const open = Object.entries(figures.now("breakers")).filter(([, value]) => value > 0).length;
    const all = Object.keys(figures.now("breakers")).length;
    providers.show(figures.sum("sends") === null ? short(all) : perSecond(outcome("accepted")), [
      ["not sent", rateIfAny(outcome("not_sent"))],
      ["unknown", rateIfAny(outcome("unknown")), outcome("unknown") ? "warn" : null],
      ["services", all ? short(all) : null],
      ["breakers open", all ? short(open) : null, open ? "bad" : null],
    ]);
    const paused = figures.sum("letters_paused");
    letters.show(count(figures.sum("letters_total")), [
      ["now", rate(figures.sum("dead_letters"))],
      ["lanes that wait", paused ? short(paused) : null, "bad"],
    ], figures.sum("dead_letters") ? "warn" : "");
  }

  return { element, show };
}

function rate(value) {
  return value === null ? null : perSecond(value);
}

function rateIfAny(value) {
  return value ? perSecond(value) : null;
}

function amount(value) {
  return value === null ? null : short(value);
}
