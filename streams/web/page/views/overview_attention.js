// What needs a person, in sentences, the worst first; and that nothing does, where nothing does.

import { fill, h } from "../show/dom.js";
import { count, plural } from "../show/format.js";
import { href } from "../shell/router.js";

const LAG_MAX = 50_000;

/** The sentences: [kind, words, address of the view that shows more]. Pure. */
export function findings(figures) {
  const found = [];
  const { workers, partitions } = figures.answer;
  const violations = figures.sum("violations");
  if (violations) found.push(["bad", `The audit has found ${plural(violations, "violation")} of the promise: the worker's log shows them, and ringonce audit shows more.`]);
  for (const worker of workers) {
    if (!worker.answered) found.push(["bad", `${worker.url} does not answer. What it would say is missing below.`]);
    else if (!worker.ready) found.push(["warn", `${worker.url}: partitions are being assigned or recovered.`]);
  }
  const worked = new Set(workers.flatMap((worker) => worker.partitions?.suppress ?? []));
  if (worked.size < partitions) found.push(["warn", `${plural(partitions - worked.size, "partition")} of ${count(partitions)} nobody here works on.`]);
  for (const [service, value] of Object.entries(figures.now("breakers"))) {
    if (value > 0) found.push(["bad", `${service} fails, and is left alone or being tried: what is meant for it waits unsent.`]);
  }
  if (figures.sum("profile_breaker")) found.push(["bad", "The user service fails, and is left alone: what needs a profile waits."]);
  const paused = figures.sum("letters_paused");
  if (paused) found.push(["bad", `${plural(paused, "lane")} take nothing more because too much dies. Mend the cause, then replay.`, href("letters")]);
  for (const name of ["schedule_difference", "broadcast_difference"]) {
    if (figures.sum(name)) found.push(["bad", `A ledger contradicts itself (${name.split("_")[0]}): this is a mistake of ours.`]);
  }
  for (const [stage, value] of Object.entries(figures.now("lag"))) {
    if (value > LAG_MAX) found.push(["warn", `${stage} is ${count(value)} records behind.`]);
  }
  const overdue = figures.sum("overdue");
  if (overdue) found.push(["warn", `${plural(overdue, "notification")} in the sample of the audit should have ended by now.`]);
  if (figures.sum("templates_refused")) found.push(["warn", "A template was refused; the one before counts, if there was one.", href("templates")]);
  return found.sort((one, other) => (one[0] === other[0] ? 0 : one[0] === "bad" ? -1 : 1));
}

export function attention() {
  const element = h("div", { class: "attention", role: "status" });
  let last = "";

  function show(figures) {
    const found = findings(figures);
    const audited = figures.sum("audited");
    const calm = `Nothing needs you. ${audited === null ? "" : `The audit has looked at ${count(audited)} statuses: every promise is kept.`}`;
    const text = found.length ? found.map(([, words]) => words).join("\n") : "calm";
    // A status region is read out whenever it changes: the count alone must not make it speak every other second.
    if (text === last) {
      if (!found.length) element.querySelector(".words").textContent = calm;
      return;
    }
    last = text;
    const lines = found.map(([kind, words, link]) => h("li", { class: kind }, words, link ? [" ", h("a", { href: link }, "Show")] : null));
    fill(element, found.length ? h("ul", {}, lines) : h("p", { class: "good" }, h("span", { class: "words", "aria-live": "off" }, calm)));
  }

  return { element, show };
}
