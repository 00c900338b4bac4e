// Small marks: the state of a notification, an id, an instant. Colour is never the only thing that tells.

import { h } from "./dom.js";
import { clock, instant, iso, relative } from "./format.js";
import { href } from "../shell/router.js";

const KINDS = {
  ACCEPTED: "good", DONE: "good", RUNNING: "info", ADMITTED: "info", SENDING: "info", RELEASED: "info", ATTEMPTED: "info",
  DEFERRED: "calm", PENDING: "calm", LOADING: "calm", SUPPRESSED: "calm", DUPLICATE: "calm", OPTED_OUT: "calm", CANCELLED: "calm",
  EXPIRED: "warn", NO_DEVICE: "warn", RETRYING: "warn", PAUSED: "warn", UNKNOWN: "warn", DEAD: "bad", NOT_SENT: "warn", HELD: "info", FREE: "good",
};

export function kindOf(state) {
  return KINDS[state] ?? "calm";
}

export function state(name) {
  return h("span", { class: `chip ${kindOf(name)}` }, String(name ?? "").replaceAll("_", " ").toLowerCase());
}

export function chip(words, kind = "calm") {
  return h("span", { class: `chip ${kind}` }, words);
}

/** An id as it is, in the font in which O and 0 differ. `bdi` keeps what is written right to left within its place. */
export function id(text) {
  return h("bdi", { class: "id" }, text);
}

export function user(name) {
  return h("a", { href: href("users", [name]), class: "id" }, h("bdi", {}, name));
}

/** A link to the story of a notification. */
export function story(userId, type, notificationId, words = null) {
  return h("a", { href: href("users", [userId, type, notificationId]), class: "id" }, h("bdi", {}, words ?? notificationId));
}

/** An instant, with how far it is from now. */
export function when(at, { far = true } = {}) {
  if (at === null || at === undefined) return null;
  return h("time", { datetime: iso(at), title: iso(at) }, instant(at), far ? h("span", { class: "far" }, ` ${relative(at)}`) : null);
}

export function time(at) {
  return h("time", { datetime: iso(at), title: iso(at) }, clock(at));
}

/** A place in Kafka. */
export function place(topic, partition, offset) {
  return h("span", { class: "id place" }, h("bdi", {}, `${topic}-${partition}@${offset}`));
}

const INSTANT = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00))/;

/** A sentence of a worker, whose instants are in UTC, with them by this browser's clock. */
export function sentence(text) {
  return h("bdi", {}, text.split(INSTANT).map((part, index) => (index % 2 ? when(Date.parse(part), { far: false }) : part)));
}

export function notice(words, kind = "info") {
  return h("p", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : null }, words);
}

export function code(text) {
  return h("pre", { class: "code", tabindex: "0" }, h("bdi", {}, text));
}

export function json(value) {
  return code(JSON.stringify(value, null, 2));
}
