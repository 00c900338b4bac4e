// The plots of the overview: what each shows, in which words. One whose figures no worker has is not shown.

import { h } from "../show/dom.js";
import { latency, perSecond, short } from "../show/format.js";
import { plot } from "../show/plot.js";

const lower = (label) => label.replaceAll("_", " ").toLowerCase();
const host = (label) => label.replace(/^webpush https?:\/\//, "webpush ").replace(/\/+$/, "");
const QUANTILES = { p50: "half of them within (p50)", p99: "99 of 100 within (p99)" };
const onlyQuantiles = (label) => label in QUANTILES;

const PLOTS = [
  { name: "events", title: "Events by decision", stacked: true, format: perSecond, words: lower, order: ["admitted", "suppressed", "duplicate", "deferred", "expired", "dead"], colours: { admitted: 0, suppressed: 6, duplicate: 3, deferred: 1, expired: 2, dead: 4 } },
  { name: "sends", title: "Sends by provider and outcome", stacked: true, format: perSecond, words: lower },
  { name: "event_to_admitted", latency: true, title: "Event to admitted", hint: "From the record on Kafka to the decision of suppress.", format: latency },
  { name: "admitted_to_claimed", latency: true, title: "Admitted to claimed", hint: "From the admission to the claim of the first attempt.", format: latency },
  { name: "claimed_to_accepted", latency: true, title: "Claimed to accepted", hint: "From the claim to the answer of the provider that took it.", format: latency },
  { name: "lag", title: "Lag", hint: "Records that wait to be committed, by stage.", stacked: true, format: short, words: lower, order: ["suppress", "schedule", "deliver", "broadcast"] },
  { name: "in_flight", title: "In flight", hint: "Claimed and not answered, by service.", stacked: true, format: short, words: host },
  { name: "answer_seconds", title: "Answers of the providers", hint: "How long the last ones took, by service.", format: latency, words: host },
  { name: "lag_seconds", title: "Age of what waits", hint: "Of the oldest records that were read and are not committed.", format: latency, words: lower, order: ["suppress", "schedule", "deliver", "broadcast"] },
  { name: "slots", title: "Slots held", format: short, words: () => "slots", stacked: true },
  { name: "schedule", title: "Schedule", hint: "What was put off, released and called off.", format: perSecond, words: lower, order: ["scheduled", "released", "retries_taken", "retries_released", "cancelled", "expired", "moved", "duplicates"] },
  { name: "pending", title: "Waits for its time", stacked: true, format: short, words: (label) => (label === "retry" ? "retries" : "notifications"), order: ["notification", "retry"] },
  { name: "lateness", latency: true, title: "Released after its due time", format: latency },
  { name: "ended", title: "Ends", hint: "How notifications ended in deliver.", stacked: true, format: perSecond, words: lower, order: ["accepted", "no_device", "opted_out", "expired", "unknown", "dead"] },
  { name: "retries", title: "Retries", hint: "Attempts that were put off to a later one.", format: perSecond, words: () => "put off", stacked: true },
  { name: "broadcast_users", title: "Users of broadcasts", format: perSecond, words: lower, order: ["emitted", "seen", "matched"] },
  { name: "dead_letters", title: "Dead letters", hint: "By the stage that gave them up.", stacked: true, format: perSecond, words: lower, order: ["suppress", "schedule", "deliver", "broadcast"] },
  { name: "device_changes", title: "Changes of devices", format: perSecond, words: lower },
  { name: "profile_lookups", title: "Profiles looked up", format: perSecond, words: lower },
];

/** Shown also where nothing has come yet: the first ones say what a system is about. */
const ALWAYS = new Set(["schedule", "pending", "in_flight", "lateness", "events", "sends"]);

export function plots() {
  const shown = new Map();
  const grid = h("div", { class: "plots" });

  function show(figures, ticks) {
    for (const each of PLOTS) {
      const columns = each.latency ? keep(figures.latency(each.name, ticks), onlyQuantiles) : figures.series(each.name, ticks);
      const known = Object.keys(columns).length > 0;
      if (!shown.has(each.name)) {
        if (!known) continue;
        shown.set(each.name, plot(each.latency ? { ...each, words: (label) => QUANTILES[label], order: ["p50", "p99"], colours: { p50: 0, p99: 2 }, headline: worst } : each));
        const after = PLOTS.slice(PLOTS.indexOf(each) + 1).find((later) => shown.has(later.name));
        grid.insertBefore(shown.get(each.name).element, after ? shown.get(after.name).element : null);
      }
      const quiet = !Object.values(columns).some((values) => values.some((value) => value));
      shown.get(each.name).element.hidden = quiet && !ALWAYS.has(each.name);
      shown.get(each.name).show(ticks, columns);
    }
  }

  return { element: grid, show };
}

function worst(columns, index) {
  const value = columns.p99?.[index];
  return value === null || value === undefined ? "" : `p99 ${latency(value)}`;
}

function keep(columns, wanted) {
  return Object.fromEntries(Object.entries(columns).filter(([label]) => wanted(label)));
}
