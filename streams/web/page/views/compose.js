// Compose one notification, send it, and follow what becomes of it.

import { find, get, path, post } from "../ask/api.js";
import { fill, h } from "../show/dom.js";
import { id, notice, story } from "../show/chips.js";
import { field, given, localInstant, pairs, showProblem } from "../show/form.js";
import { instant } from "../show/format.js";
import { announce } from "../shell/announce.js";
import { allows } from "../shell/session.js";
import { shortcutsOf } from "../shell/shortcuts.js";
import { followStory } from "./story.js";
import { previewer } from "./template_preview.js";
import { sampleOf } from "./templates.js";

const WHEN = [["now", "now"], ["at", "at an instant"], ["local", "at a time of day of the user"]];
const freshName = () => `page-${crypto.randomUUID()}`;

export function show({ body, query: asked, signal }) {
  const types = h("datalist", { id: "types" });
  const fields = {
    user_id: field("User", "user_id", { required: true, value: asked.get("user") ?? "" }),
    type: field("Type", "type", { required: true, list: "types", value: asked.get("type") ?? "" }),
    notification_id: field("Id", "notification_id", { required: true, value: freshName(), whole: true, hint: "The same id for the same user is the same notification, for 24 hours." }),
    title: field("Title", "title", { whole: true, hint: "Empty: the template of the type." }),
    body: field("Text", "body", { kind: "area", hint: "Empty: the template of the type." }),
    when: field("When", "when", { kind: "select", options: WHEN, value: "now" }),
    send_at: field("Not before", "send_at", { kind: "datetime-local", step: 1, hint: "By the clock of this browser." }),
    send_at_local: field("Time of day", "send_at_local", { kind: "datetime-local", hint: "By the clock of the user." }),
    time_zone: field("Time zone", "time_zone", { hint: "Such as Europe/Berlin; empty: the user's own." }),
    expires_at: field("Useless after", "expires_at", { kind: "datetime-local", step: 1, hint: "Empty: as the type says." }),
  };
  const data = pairs("Data");
  const wrong = h("div", { role: "alert" });
  const submit = h("button", { type: "submit", class: "primary" }, "Send");
  const form = h(
    "form",
    { class: "grid card", "aria-label": "Notification", onsubmit: send },
    fields.user_id.box, fields.type.box, fields.notification_id.box, types, data.box, fields.title.box, fields.body.box,
    fields.when.box, fields.send_at.box, fields.send_at_local.box, fields.time_zone.box, fields.expires_at.box, wrong,
    h("div", { class: "actions" }, submit, h("span", { class: "hint" }, "Ctrl + Enter sends.")),
  );
  const sent = h("section", { class: "card sent", "aria-labelledby": "sent-title" }, h("h2", { id: "sent-title" }, "What becomes of it"), h("p", { class: "empty" }, "Nothing was sent from here yet."));
  const seen = h("div", {}, h("p", { class: "empty" }, "Once there is a type."));
  const reader = allows("read") ? h("section", { class: "card", "aria-labelledby": "reader-title" }, h("h2", { id: "reader-title" }, "What a reader sees"), seen) : null;
  const preview = previewer(seen, signal);
  let timer = null;
  let following = null;

  const showWhen = () => {
    const wanted = fields.when.control.value;
    fields.send_at.box.hidden = wanted !== "at";
    fields.send_at_local.box.hidden = fields.time_zone.box.hidden = wanted !== "local";
    fields.send_at.control.required = wanted === "at";
    fields.send_at_local.control.required = wanted === "local";
    submit.textContent = wanted === "now" ? "Send" : "Schedule";
  };
  fields.when.control.addEventListener("change", showWhen);
  showWhen();
  // The names that the template of the type uses, as rows to be filled in; what somebody has written stays.
  fields.type.control.addEventListener("change", offerNames);
  async function offerNames() {
    const found = await find(path("templates", fields.type.control.value), { signal }).catch(() => null);
    if (!found) return;
    data.set({ ...Object.fromEntries(Object.keys(sampleOf(found)).map((name) => [name, ""])), ...data.values() });
  }
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  signal.addEventListener("abort", () => {
    following?.abort();
    clearTimeout(timer);
  });
  form.addEventListener("input", () => {
    clearTimeout(timer);
    if (reader && fields.type.control.value) timer = setTimeout(showReader, 400);
  });

  function showReader() {
    const { user_id = "user", type, title, body: text } = values();
    preview({ user_id, type, title, body: text, data: data.values() });
  }

  function values() {
    const found = given(form);
    const asked = { notification_id: found.notification_id, user_id: found.user_id, type: found.type, title: found.title, body: found.body, data: data.values() };
    if (found.when === "at") asked.send_at = localInstant(found.send_at);
    if (found.when === "local") {
      asked.send_at_local = found.send_at_local;
      asked.time_zone = found.time_zone;
    }
    const expires = localInstant(found.expires_at);
    if (expires !== null) asked.expires_at = expires;
    return asked;
  }

  async function send(event) {
    event.preventDefault();
    submit.disabled = true;
    showProblem(wrong, null, fields);
    try {
      const asked = values();
      await post("notifications", asked);
      announce("Kafka has it.");
      showSent(asked);
      fields.notification_id.control.value = freshName();
    } catch (problem) {
      showProblem(wrong, problem, fields);
    } finally {
      submit.disabled = false;
    }
  }

  function showSent(asked) {
    following?.abort();
    following = new AbortController();
    const place = h("div", {});
    const due = asked.send_at ? ` Not before ${instant(asked.send_at)}.` : asked.send_at_local ? ` At ${asked.send_at_local} of the user's clock.` : "";
    fill(sent, h("h2", { id: "sent-title" }, "What becomes of it"),
      notice([`Kafka has it.${due} `, story(asked.user_id, asked.type, asked.notification_id, "The whole story")], "good"),
      h("p", { class: "hint" }, id(asked.notification_id), " to ", id(asked.user_id)), place);
    followStory(place, asked.user_id, asked.type, asked.notification_id, following.signal);
    sent.scrollIntoView({ block: "nearest" });
  }

  fill(body, h("div", { class: "preview" }, form, h("div", { class: "aside" }, sent, reader)));
  if (fields.type.control.value) offerNames();
  (asked.get("user") ? fields.type : fields.user_id).control.focus();
  shortcutsOf(signal, [["n", "Go to the first field", () => fields.user_id.control.focus()]]);
  get("templates", { signal }).then(
    ({ templates }) => fill(types, templates.map((each) => h("option", { value: each.type }))),
    () => {}, // the types are a help for typing, and no more
  );
}
