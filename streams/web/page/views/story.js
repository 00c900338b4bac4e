// The story of one notification, followed while it goes on.

import { find, get, path, query } from "../ask/api.js";
import { poll } from "../ask/poll.js";
import { isAbort } from "../ask/problems.js";
import { fill, h } from "../show/dom.js";
import { id, json, notice, place, sentence, state, story, when } from "../show/chips.js";
import { duration } from "../show/format.js";
import { facts, table } from "../show/table.js";
import { timeline } from "../show/timeline.js";
import { announce } from "../shell/announce.js";
import { href } from "../shell/router.js";
import { explanation } from "./explain.js";

const EVERY_MS = 2_000;

export function showStory({ body, signal }, userId, type, notificationId) {
  const why = h("div", {});
  const place = h("div", {}, h("p", { class: "loading" }, "Loading …"));
  fill(body, h("section", { class: "card", "aria-labelledby": "story-title" }, h("h2", { id: "story-title" }, "Story"), place), h("section", { class: "card", "aria-labelledby": "why-title" }, h("h2", { id: "why-title" }, "Why"), why));
  followStory(place, userId, type, notificationId, signal, () => tellWhy(why, userId, type, notificationId, signal));
}

/** Draws the story into a place and goes on until it has ended; `changed` is called with each new state. */
export function followStory(place, userId, type, notificationId, signal, changed = () => {}) {
  let last;
  const limit = new AbortController();
  const both = AbortSignal.any([signal, limit.signal]);
  poll(
    async () => {
      try {
        const document = await find(path("notifications", userId, type, notificationId), { signal }) ?? await fromHistory(userId, type, notificationId, signal);
        const text = JSON.stringify(document?.statuses ?? null);
        if (text === last) return; // how far it is told, and the slot, change all the time
        last = text;
        fill(place, document ? drawn(document, userId, type) : notice("Nothing is known of it yet, or no more. If it was sent just now, it comes.", "info"));
        if (document) announce(`${notificationId}: ${String(document.state).toLowerCase()}`);
        changed(document);
        if (document?.final) limit.abort();
      } catch (error) {
        if (isAbort(error)) throw error;
        last = undefined;
        fill(place, notice(error.message, "bad"));
        throw error;
      }
    },
    EVERY_MS,
    both,
  );
}

/** What the history has of one that the workers do not remember any more, in the shape of a story; null: nothing. */
async function fromHistory(userId, type, notificationId, signal) {
  const found = await find(path("history", userId, type, notificationId), { signal }).catch((problem) => {
    if (isAbort(problem)) throw problem;
    return null; // the workers have answered; without a history there is no more to say
  });
  const last = found?.statuses.findLast((each) => each.state !== "ATTEMPTED");
  if (!last) return null;
  const statuses = found.statuses.map((each) => ({ ...each, topic: "statuses", partition: each.status_partition, offset: each.status_offset }));
  return {
    ...last, statuses, answers: [], final: true, sentence: "The workers do not remember it any more; this is what the history has.",
    event: { topic: "notifications", partition: last.origin_partition, offset: last.origin_offset },
  };
}

function drawn(document, userId, type) {
  const { statuses: steps, event, answers, duplicates, dead_letter: letter } = document;
  const first = steps[0];
  const last = steps.at(-1);
  return [
    h("p", { class: "sentence" }, sentence(document.sentence)),
    h("div", { class: "split" }, timeline(steps), h("div", {}, facts([
      ["State", state(document.state)],
      ["Reason", document.reason ? h("bdi", {}, document.reason) : null],
      ["In its way", document.by_notification_id ? story(userId, type, document.by_notification_id) : null],
      ["Until", document.until ? when(document.until) : null],
      ["User", id(userId)],
      ["Type", id(type)],
      ["Since", first ? when(first.at) : null],
      ["Took", first && last && last.at > first.at ? duration(last.at - first.at) : null],
      ["Attempts", document.attempts || null],
      ["Duplicates", duplicates || null],
      ["Its event", event.offset === null ? null : place(event.topic, event.partition, event.offset)],
      ["Dead letter", letter ? h("a", { href: href("letters", [], { id: document.notification_id }) }, letter.code ? `${letter.code}: ` : "", h("bdi", {}, letter.reason)) : null],
    ]), answers.length ? answersOf(answers) : null)),
    document.statuses_left_out ? notice("Some of its statuses are not shown: only the first and the last ones are, of those that are kept.", "info") : null,
    h("details", {}, h("summary", {}, "As data"), json(document)),
  ];
}

function answersOf(answers) {
  const shown = table("What the providers answered", [
    { name: "Attempt", number: true, cell: (each) => each.attempt },
    { name: "Provider", heading: true, cell: (each) => each.provider ?? "–" },
    { name: "Device", cell: (each) => (each.device_id ? id(each.device_id) : "–") },
    { name: "Outcome", cell: (each) => state(each.outcome) },
    { name: "Word", cell: (each) => h("bdi", {}, each.reason) },
  ]);
  shown.show(answers);
  return [h("h3", {}, "What the providers answered"), shown.element];
}

async function tellWhy(place, userId, type, notificationId, signal) {
  try {
    fill(place, explanation(userId, await get(`explain${query({ user: userId, type, id: notificationId })}`, { signal })));
  } catch (error) {
    if (isAbort(error)) return;
    fill(place, notice(error.message, "info"));
  }
}
