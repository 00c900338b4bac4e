// The story of one notification, followed while it goes on.

import { find, get, path, query } from "../ask/api.js";
import { poll } from "../ask/poll.js";
import { isAbort } from "../ask/problems.js";
import { fill, h } from "../show/dom.js";
import { id, json, notice, state, when } from "../show/chips.js";
import { duration } from "../show/format.js";
import { facts } from "../show/table.js";
import { timeline } from "../show/timeline.js";
import { announce } from "../shell/announce.js";
import { explanation, slotOf } from "./explain.js";

const EVERY_MS = 2_000;
const FINAL = new Set(["ACCEPTED", "SUPPRESSED", "DUPLICATE", "EXPIRED", "CANCELLED", "OPTED_OUT", "NO_DEVICE", "UNKNOWN", "DEAD"]);

export function showStory({ body, signal }, userId, type, notificationId) {
  const why = h("div", {});
  const place = h("div", {}, h("p", { class: "loading" }, "Loading …"));
  fill(body, h("section", { class: "card", "aria-label": "Story" }, place), h("section", { class: "card", "aria-labelledby": "why-title" }, h("h2", { id: "why-title" }, "Why"), why));
  followStory(place, userId, type, notificationId, signal, () => tellWhy(why, userId, type, notificationId, signal));
}

/** Draws the story into a place and goes on until it has ended; `changed` is called with each new state. */
export function followStory(place, userId, type, notificationId, signal, changed = () => {}) {
  let last = null;
  const limit = new AbortController();
  const both = AbortSignal.any([signal, limit.signal]);
  poll(
    async () => {
      try {
        const document = await find(path("notifications", userId, type, notificationId), { signal });
        const text = JSON.stringify(document);
        if (text === last) return;
        last = text;
        fill(place, document ? drawn(document, userId, type) : notice("Nothing is known of it yet, or no more. If it was sent just now, it comes.", "info"));
        if (document) announce(`${notificationId}: ${String(document.state).toLowerCase()}`);
        changed(document);
        if (document && FINAL.has(document.state)) limit.abort();
      } catch (error) {
        if (isAbort(error)) throw error;
        last = null;
        fill(place, notice(error.message, "bad"));
        throw error;
      }
    },
    EVERY_MS,
    both,
  );
}

/** The statuses of a story, in order. */
export function stepsOf(document) {
  return document.statuses ?? document.steps ?? document.story ?? [];
}

function drawn(document, userId, type) {
  const steps = stepsOf(document);
  const first = steps[0];
  const last = steps.at(-1);
  return [
    facts([
      ["State", state(document.state)],
      ["Reason", document.reason ? h("bdi", {}, document.reason) : null],
      ["User", id(userId)],
      ["Type", id(type)],
      ["Since", first ? when(first.at) : null],
      ["Took", first && last && last.at > first.at ? duration(last.at - first.at) : null],
      ["Attempts", document.attempts || null],
    ]),
    timeline(steps),
    h("details", {}, h("summary", {}, "As data"), json(document)),
  ];
}

async function tellWhy(place, userId, type, notificationId, signal) {
  try {
    fill(place, explanation(userId, await get(`explain${query({ user: userId, type, id: notificationId })}`, { signal })));
  } catch (error) {
    if (isAbort(error)) return;
    const slot = await find(path("slots", userId, type), { signal }).catch(() => null);
    fill(place, notice(error.message, "info"), slot ? slotOf(userId, type, slot) : null);
  }
}
