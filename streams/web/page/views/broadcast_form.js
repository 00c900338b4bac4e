// Starting a broadcast. The id stays the same while the form is open, so that sending it again is the same broadcast.

import { post } from "../ask/api.js";
import { h } from "../show/dom.js";
import { field, given, localInstant, pairs, showProblem } from "../show/form.js";
import { openDialog } from "../shell/dialog.js";
import { who } from "../shell/session.js";

const AUDIENCES = [["all", "everybody with a device"], ["filter", "those that a filter is true for"], ["list", "the users of a list"]];

/** Opens the form; calls `started` with the id. */
export function newBroadcast(started) {
  const fields = {
    broadcast_id: field("Id", "broadcast_id", { required: true, value: `b-${crypto.randomUUID().slice(0, 8)}`, hint: "The same id is the same broadcast." }),
    type: field("Type", "type", { required: true, hint: "Give it the priority bulk in the types file." }),
    audience: field("Who is told", "audience", { kind: "select", options: AUDIENCES, value: "all" }),
    filter: field("Filter", "filter", { hint: "language = 'de' and provider in ('apns', 'fcm') and bucket < 10" }),
    users: field("Users", "users", { kind: "area", hint: "One user id a line, at most 10,000 here." }),
    title: field("Title", "title", { whole: true, hint: "Empty: the template of the type." }),
    body: field("Text", "body", { kind: "area" }),
    send_at: field("Not before", "send_at", { kind: "datetime-local", step: 1 }),
    expires_at: field("Useless after", "expires_at", { kind: "datetime-local", step: 1 }),
    per_second: field("Users a second", "per_second", { kind: "number", min: 1, hint: "Empty: as the settings say." }),
    dry_run: field("Only count who would be told", "dry_run", { kind: "check", value: true }),
  };
  const data = pairs("Data");
  const wrong = h("div", { role: "alert" });
  const submit = h("button", { type: "submit", class: "primary" }, "Start");
  const form = h(
    "form",
    { class: "dialog-body grid", onsubmit: send },
    fields.broadcast_id.box, fields.type.box, fields.audience.box, fields.filter.box, fields.users.box, fields.title.box, fields.body.box,
    fields.send_at.box, fields.expires_at.box, fields.per_second.box, data.box, fields.dry_run.box, wrong,
    h("div", { class: "actions" }, h("button", { type: "button", onclick: () => dialog.close() }, "Back"), submit),
  );
  const showOfAudience = () => {
    fields.filter.box.hidden = fields.audience.control.value !== "filter";
    fields.users.box.hidden = fields.audience.control.value !== "list";
  };
  fields.audience.control.addEventListener("change", showOfAudience);
  showOfAudience();
  const dialog = openDialog("Start a broadcast", form, { wide: true });
  fields.type.control.focus();

  function values() {
    const found = given(form);
    const asked = {
      broadcast_id: found.broadcast_id, type: found.type, audience: found.audience, title: found.title, body: found.body,
      data: data.values(), requested_by: who(), dry_run: fields.dry_run.control.checked,
    };
    if (found.audience === "filter") asked.filter = found.filter ?? "";
    if (found.audience === "list") asked.users = (found.users ?? "").split(/\r?\n/).filter((line) => line.trim() !== "");
    if (found.per_second) asked.per_second = Number(found.per_second);
    for (const name of ["send_at", "expires_at"]) {
      const at = localInstant(found[name]);
      if (at !== null) asked[name] = at;
    }
    return asked;
  }

  async function send(event) {
    event.preventDefault();
    submit.disabled = true;
    showProblem(wrong, null, fields);
    try {
      const asked = values();
      await post("broadcasts", asked);
      dialog.close();
      started(asked.broadcast_id);
    } catch (problem) {
      showProblem(wrong, problem, fields);
    } finally {
      submit.disabled = false;
    }
  }
}
