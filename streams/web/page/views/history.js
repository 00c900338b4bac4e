// History beyond what the workers remember: notifications by user, type, state and time, where a history is kept.

import { get, query } from "../ask/api.js";
import { fill, h } from "../show/dom.js";
import { id, notice, place, state, story, user, when } from "../show/chips.js";
import { field, given, localInstant } from "../show/form.js";
import { section } from "../show/section.js";
import { table } from "../show/table.js";
import { note } from "../shell/router.js";

const STATES = ["ACCEPTED", "SUPPRESSED", "DUPLICATE", "EXPIRED", "CANCELLED", "OPTED_OUT", "NO_DEVICE", "UNKNOWN", "DEAD", "ADMITTED", "DEFERRED", "RELEASED", "SENDING", "RETRYING"];
const PAGE = 50;

export function show({ body, query: asked, signal }) {
  const fields = [
    field("User", "user", { value: asked.get("user") ?? "" }),
    field("Type", "type", { value: asked.get("type") ?? "" }),
    field("State", "state", { kind: "select", value: asked.get("state") ?? "", options: [["", "any"], ...STATES.map((each) => [each, each.replaceAll("_", " ").toLowerCase()])] }),
    field("Notification", "id", { value: asked.get("id") ?? "" }),
    field("From", "from", { kind: "datetime-local", value: asked.get("from") ?? "" }),
    field("to", "to", { kind: "datetime-local", value: asked.get("to") ?? "" }),
  ];
  const form = h("form", { class: "filters", onsubmit: (event) => { event.preventDefault(); list.reload(); } }, fields.map((each) => each.box), h("button", { type: "submit" }, "Search"));
  const shown = table("Notifications, the newest first", [
    { name: "Began", cell: (each) => when(each.began_at, { far: false }) },
    { name: "State", cell: (each) => state(each.state) },
    { name: "Notification", heading: true, cell: (each) => story(each.user_id, each.type, each.notification_id) },
    { name: "User", cell: (each) => user(each.user_id) },
    { name: "Type", cell: (each) => id(each.type) },
    { name: "Reason", wide: true, cell: (each) => h("bdi", {}, each.reason) },
    { name: "Last status", cell: (each) => [when(each.at, { far: false }), " ", place("statuses", each.status_partition, each.status_offset)] },
  ], { empty: "Nothing of the kind is kept." });
  let rows = [];
  let next = null;
  const more = h("button", { type: "button", hidden: true, onclick: older }, "Show older ones");

  async function load(after = null) {
    const values = given(form);
    note("history", [], values);
    const instants = Object.fromEntries(["from", "to"].map((name) => [name, localInstant(values[name])]));
    const found = await get(`history${query({ ...values, ...instants, limit: PAGE, after })}`, { signal });
    rows = after ? [...rows, ...found.notifications] : found.notifications;
    next = found.after;
    more.hidden = next === null;
    more.textContent = found.notifications.length ? "Show older ones" : "Nothing in this part of it: look further back";
    shown.show(rows);
  }

  async function older() {
    more.disabled = true;
    await load(next).catch((problem) => fill(wrong, notice(problem.message, "bad")));
    more.disabled = false;
  }

  const wrong = h("div", { role: "alert" });
  const list = section("Notifications", async () => {
    try {
      await load();
      return null;
    } catch (problem) {
      if (problem.status === 404) return notice(problem.detail ?? problem.message, "info");
      throw problem;
    }
  }, (instead) => instead ?? [shown.element, wrong, more]);
  fill(body, form, list.element);
}
