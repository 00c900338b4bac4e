// What is known of one user: recent notifications, slots, devices, preferences, profile; and forgetting all of it.

import { find, get, path, query, remove } from "../ask/api.js";
import { fill, h } from "../show/dom.js";
import { chip, id, json, sentence, state, story, when } from "../show/chips.js";
import { plural } from "../show/format.js";
import { field } from "../show/form.js";
import { section } from "../show/section.js";
import { facts, table } from "../show/table.js";
import { toast } from "../shell/announce.js";
import { confirm } from "../shell/dialog.js";
import { go, href } from "../shell/router.js";
import { allows, who } from "../shell/session.js";
import { explanation } from "./explain.js";

const PAGE = 10;

export function showUser({ body, heading, signal }, userId, type) {
  const at = (...rest) => path("users", userId, ...rest);
  const options = { signal };
  const compose = allows("send") ? h("a", { class: "button primary", href: href("compose", [], { user: userId }) }, "Send one") : null;
  const forget = allows("admin") ? h("button", { type: "button", class: "danger", onclick: () => forgetUser(userId) }, "Forget …") : null;
  heading.after(h("div", { class: "toolbar" }, compose, forget));
  fill(
    body,
    recent(userId, options),
    explain(userId, type, options),
    devices(userId, () => get(at("devices"), options)),
    h(
      "div",
      { class: "columns" },
      section("Preferences", () => find(at("preferences"), options), preferences).element,
      section("Profile", () => find(at("profile"), options), profile).element,
      section("Waits for its time", () => pending(userId, options), (rows) => rows).element,
    ),
  );
}

function recent(userId, options) {
  const shown = table("Recent notifications, the newest first", [
    { name: "Decided", cell: (each) => when(each.decided_at) },
    { name: "State", cell: (each) => state(each.state) },
    { name: "Notification", heading: true, cell: (each) => (each.notification_id ? story(userId, each.type, each.notification_id) : "its id could not be read") },
    { name: "Type", cell: (each) => id(each.type) },
    { name: "Why", wide: true, cell: (each) => sentence(each.sentence) },
  ], { empty: "No worker remembers a notification of this user. Older ones may be in the history." });
  let rows = [];
  let next = null;
  const more = h("button", { type: "button", hidden: true, onclick: () => load(next) }, "Show older ones");
  async function load(before) {
    const found = await get(`${path("users", userId, "notifications")}${query({ limit: PAGE, before })}`, options);
    rows = before ? [...rows, ...found.notifications] : found.notifications;
    next = found.before;
    more.hidden = next === null;
    shown.show(rows);
    return found;
  }
  return section("Notifications", () => load(null), () => [shown.element, more]).element;
}

function explain(userId, type, options) {
  const kind = field("Type", "type", { required: true, value: type ?? "", hint: "Such as order_ready." });
  const answer = h("div", { "aria-live": "polite" });
  const ask = async (event) => {
    event?.preventDefault();
    try {
      fill(answer, explanation(userId, await get(`explain${query({ user: userId, type: kind.control.value })}`, options)));
    } catch (problem) {
      fill(answer, h("p", { class: "notice bad" }, problem.message));
    }
  };
  if (type) ask();
  return h("section", { class: "card", "aria-labelledby": "explain-title" }, h("h2", { id: "explain-title" }, "Why, or why not?"),
    h("form", { class: "inline", onsubmit: ask }, kind.box, h("button", { type: "submit" }, "Explain")), answer);
}

function devices(userId, load) {
  const shown = table("Devices", [
    { name: "Device", heading: true, cell: (each) => id(each.device_id) },
    { name: "Provider", cell: (each) => each.provider },
    { name: "Address", wide: true, cell: (each) => id(each.address) },
    { name: "Registered", cell: (each) => when(each.registered_at, { far: false }) },
  ], {
    empty: "No device is registered: whatever is sent ends as NO_DEVICE.",
    actions: allows("send") ? (each) => h("button", { type: "button", class: "small", "aria-label": `Remove the device ${each.device_id}`, onclick: () => removeDevice(userId, each.device_id) }, "Remove") : null,
  });
  const whole = section("Devices", load, ({ devices: found }) => {
    shown.show(found);
    return shown.element;
  });
  async function removeDevice(user, deviceId) {
    const done = await confirm({
      title: "Remove this device?", verb: "Remove", danger: true, text: [h("p", {}, id(deviceId)), "Nothing more is sent to it until it is registered again."],
      act: () => remove(path("users", user, "devices", deviceId), { requested_by: who() }),
    });
    if (!done) return;
    toast(`The device ${deviceId} is being removed.`);
    setTimeout(whole.reload, 600);
  }
  return whole.element;
}

function preferences(document) {
  if (!document) return h("p", { class: "empty" }, "Nothing in particular is wanted: everything is sent.");
  return [
    facts([
      ["Everything", document.opted_out ? chip("opted out", "warn") : null],
      ["Not wanted types", list(document.opted_out_types)],
      ["Not wanted providers", list(document.opted_out_providers)],
      ["Mute until", document.mute_until ? when(document.mute_until) : null],
      ["Quiet hours", list(document.quiet_hours)],
      ["By type", Object.keys(document.quiet_hours_by_type ?? {}).length ? json(document.quiet_hours_by_type) : null],
      ["Time zone", document.time_zone ? id(document.time_zone) : null],
      ["Locale", document.locale ? id(document.locale) : null],
    ]),
  ];
}

function profile(document) {
  if (!document) return h("p", { class: "empty" }, "The topic of profiles has none. A user service may know one.");
  return facts([
    ["Name", document.name ? h("bdi", {}, document.name) : null],
    ["Locale", document.locale ? id(document.locale) : null],
    ["Time zone", document.time_zone ? id(document.time_zone) : null],
    ["Changed", document.updated_at ? when(document.updated_at) : null],
    ...Object.entries(document.fields ?? {}).map(([name, value]) => [h("bdi", {}, name), h("bdi", {}, String(value))]),
  ]);
}

async function pending(userId, options) {
  const found = await get(`schedule${query({ limit: 1000 })}`, options);
  const mine = found.notifications.filter((each) => each.user_id === userId);
  if (mine.length === 0) {
    const part = found.complete_until === null ? "" : " Only the next 1,000 of all users were looked at.";
    return h("p", { class: "empty" }, `Nothing waits.${part}`);
  }
  return h("ul", { class: "plain" }, mine.map((each) => h("li", {}, story(userId, each.type, each.notification_id), " ", id(each.type), " ", when(each.due_at))));
}

function list(values) {
  return values?.length ? values.map((each, index) => [index ? ", " : "", id(each)]) : null;
}

async function forgetUser(userId) {
  const done = await confirm({
    title: "Forget this user?", verb: "Forget for good", danger: true,
    text: ["Devices, preferences, profile and whatever waits are removed, on all workers. This cannot be undone.", h("p", {}, "Type the user id to go on: ", id(userId))],
    fields: field("User id", "typed", { required: true }).box,
    act: (values) => {
      if (values.get("typed") !== userId) throw new Error("That is another id.");
      return remove(path("users", userId), { requested_by: who() });
    },
  });
  if (!done) return;
  const { body: answer } = done;
  const removed = Object.values(answer.removed).reduce((sum, each) => sum + each, 0);
  toast(answer.complete ? `Forgotten: ${plural(removed, "row")} removed.` : "It is on Kafka; some partitions have not answered yet.", answer.complete ? "good" : "warn");
  go("users");
}
