// What waits for its time: listed by due time, cancelled, moved.

import { get, path, post, query } from "../ask/api.js";
import { fill, h } from "../show/dom.js";
import { chip, id, notice, story, user, when } from "../show/chips.js";
import { field, given, localInstant, localText } from "../show/form.js";
import { instant } from "../show/format.js";
import { section } from "../show/section.js";
import { table } from "../show/table.js";
import { toast } from "../shell/announce.js";
import { confirm } from "../shell/dialog.js";
import { note } from "../shell/router.js";
import { allows, who } from "../shell/session.js";
import { shortcutsOf } from "../shell/shortcuts.js";

const OUTCOMES = {
  CANCELLED: "It is cancelled.",
  MOVED: "It is moved.",
  ALREADY_RELEASED: "It was too late: it had been released already.",
  ALREADY_CANCELLED: "It had been cancelled already.",
  ALREADY_EXPIRED: "It had expired already.",
  WOULD_EXPIRE: "It would expire before that: nothing was changed.",
  UNKNOWN_ID: "Nothing of this id waits, and nothing has ended under it of late.",
};

export function show({ body, query: asked, signal }) {
  const type = field("Type", "type", { value: asked.get("type") ?? "" });
  const from = field("Due from", "from", { kind: "datetime-local", value: asked.get("from") ?? "" });
  const to = field("to", "to", { kind: "datetime-local", value: asked.get("to") ?? "" });
  const limit = field("At most", "limit", { kind: "number", min: 1, max: 1000, value: asked.get("limit") ?? "100" });
  const form = h("form", { class: "filters", onsubmit: (event) => { event.preventDefault(); list.reload(); } },
    type.box, from.box, to.box, limit.box, h("button", { type: "submit" }, "Show"));
  const shown = table("What waits, in the order in which it is due", [
    { name: "Due", cell: (each) => when(each.due_at) },
    { name: "Notification", heading: true, cell: (each) => story(each.user_id, each.type, each.notification_id) },
    { name: "User", cell: (each) => user(each.user_id) },
    { name: "Type", cell: (each) => id(each.type) },
    { name: "Kind", cell: (each) => (each.kind === "retry" ? chip("retry", "warn") : chip("scheduled", "calm")) },
  ], {
    empty: "Nothing waits.",
    actions: allows("send") ? (each) => (each.kind === "retry" ? null : [
      h("button", { type: "button", class: "small", "aria-label": `Move ${each.notification_id}`, onclick: () => move(each) }, "Move"),
      h("button", { type: "button", class: "small danger", "aria-label": `Cancel ${each.notification_id}`, onclick: () => cancel(each) }, "Cancel"),
    ]) : null,
  });

  async function load() {
    const values = given(form);
    note("schedule", [], values);
    const instants = Object.fromEntries(["from", "to"].map((name) => [name, localInstant(values[name])]));
    return get(`schedule${query({ ...values, ...instants })}`, { signal });
  }

  const list = section("Waits for its time", load, (found) => {
    shown.show(found.notifications);
    const part = found.complete_until === null ? null : notice(`There is more: only what is due before ${instant(found.complete_until)} is shown.`, "info");
    return [part, shown.element];
  }, { actions: h("button", { type: "button", onclick: () => list.reload() }, "Reload") });

  async function cancel(each) {
    await command(each, "cancel", {
      title: "Cancel this notification?", verb: "Cancel it", danger: true,
      text: h("p", {}, id(each.notification_id), " to ", id(each.user_id), ", due ", when(each.due_at), ". It ends as CANCELLED."),
      values: () => ({}),
    });
  }

  async function move(each) {
    const due = field("Due at", "due_at", { kind: "datetime-local", step: 1, required: true, value: localText(each.due_at), hint: "By the clock of this browser." });
    await command(each, "move", {
      title: "Give it another time", verb: "Move it", fields: due.box,
      text: h("p", {}, id(each.notification_id), " to ", id(each.user_id), ", due ", when(each.due_at), "."),
      values: (form) => ({ due_at: localInstant(form.get("due_at")) }),
    });
  }

  async function command(each, action, { values, ...question }) {
    const done = await confirm({
      ...question,
      act: (form) => post(path("schedule", each.user_id, each.type, each.notification_id, action), { ...values(form), requested_by: who() }),
    });
    if (!done) return;
    const outcome = done.body.outcome;
    const kept = outcome === "CANCELLED" || outcome === "MOVED";
    toast(outcome === null ? "It is on Kafka; no answer has come in time." : OUTCOMES[outcome] ?? outcome.replaceAll("_", " ").toLowerCase(), kept ? "good" : "warn");
    list.reload();
  }

  fill(body, form, list.element);
  shortcutsOf(signal, [["r", "Load anew", () => list.reload()]]);
}
