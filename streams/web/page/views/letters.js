// Dead letters: found by filters, inspected, replayed one by one, by filter, or all of them.

import { get, path, post, query } from "../ask/api.js";
import { fill, h } from "../show/dom.js";
import { chip, code, id, json, notice, place, story, when } from "../show/chips.js";
import { field, given, localInstant } from "../show/form.js";
import { plural } from "../show/format.js";
import { section } from "../show/section.js";
import { facts, table } from "../show/table.js";
import { toast } from "../shell/announce.js";
import { confirm, openDialog } from "../shell/dialog.js";
import { note } from "../shell/router.js";
import { allows, who } from "../shell/session.js";
import { shortcutsOf } from "../shell/shortcuts.js";

const CODES = [
  "BAD_MAGIC", "UNKNOWN_SCHEMA", "WRONG_RECORD", "TRUNCATED", "TRAILING_BYTES", "INVALID_FIELD", "NO_KEY", "KEY_MISMATCH", "NO_VALUE",
  "TOO_LARGE", "WRONG_PARTITION", "UNKNOWN_TYPE", "RENDER_FAILED", "REJECTED", "ATTEMPTS_EXHAUSTED",
];
const words = (name) => name.replaceAll("_", " ").toLowerCase();
const REPLAY_MAX = 1000;

export function show({ body, heading, query: asked, signal }) {
  const fields = [
    field("What is wrong", "code", { kind: "select", value: asked.get("code") ?? "", options: [["", "anything"], ...CODES.map((each) => [each, words(each)])] }),
    field("Type", "type", { value: asked.get("type") ?? "" }),
    field("Notification", "id", { value: asked.get("id") ?? "" }),
    field("From", "from", { kind: "datetime-local", value: asked.get("from") ?? "" }),
    field("to", "to", { kind: "datetime-local", value: asked.get("to") ?? "" }),
    field("At most", "limit", { kind: "number", min: 1, max: 1000, value: asked.get("limit") ?? "100" }),
  ];
  const form = h("form", { class: "filters", onsubmit: (event) => { event.preventDefault(); list.reload(); } }, fields.map((each) => each.box), h("button", { type: "submit" }, "Show"));
  const shown = table("Dead letters", [
    { name: "Place", heading: true, cell: (each) => h("button", { type: "button", class: "link id", "aria-label": `Show the letter at ${each.place}`, onclick: () => inspect(each.place) }, each.place) },
    { name: "What is wrong", cell: (each) => chip(words(each.code), "bad") },
    { name: "Reason", wide: true, cell: (each) => h("bdi", {}, each.reason) },
    { name: "Type", cell: (each) => (each.type ? id(each.type) : "–") },
    { name: "Notification", cell: (each) => (each.notification_id ? id(each.notification_id) : "–") },
    { name: "Given up", cell: (each) => [each.stage, " ", when(each.at)] },
  ], {
    empty: "There is no dead letter of the kind.",
    actions: allows("admin") ? (each) => h("button", { type: "button", class: "small", "aria-label": `Replay the letter at ${each.place}`, onclick: () => replayOne(each.place) }, "Replay") : null,
  });

  function filters() {
    const { limit, ...values } = given(form);
    const instants = Object.fromEntries(["from", "to"].map((name) => [name, localInstant(values[name])]));
    return { limit, wanted: { ...values, ...instants }, written: { ...values, limit } };
  }

  async function load() {
    const { limit, wanted, written } = filters();
    note("letters", [], written);
    return get(`dead-letters${query({ ...wanted, limit })}`, { signal });
  }

  const list = section("Dead letters", load, ({ dead_letters: found }) => {
    shown.show(found.sort((one, other) => other.at - one.at));
    return [found.length ? h("p", { class: "hint" }, `${plural(found.length, "letter")}, the newest first.`) : null, shown.element];
  }, { actions: h("button", { type: "button", onclick: () => list.reload() }, "Reload") });

  if (allows("admin")) heading.after(h("div", { class: "toolbar" }, h("button", { type: "button", onclick: replayFound }, "Replay these …")));

  async function replayOne(where) {
    const force = field("Also where it was replayed before, or is not mended", "force", { kind: "check" });
    const done = await confirm({
      title: "Replay this letter?", verb: "Replay it", fields: force.box,
      text: [h("p", {}, "The letter at ", id(where), " goes back to notifications and contends for its slot like any other event."), "It is replayed once, whoever asks and however often."],
      act: () => post(path("dead-letters", where, "replay"), { requested_by: who(), force: force.control.checked }),
    });
    if (!done) return;
    toast(`The letter at ${where} is replayed.`);
    list.reload();
  }

  async function replayFound() {
    const { wanted } = filters();
    const any = Object.values(wanted).some((value) => value !== null && value !== "" && value !== undefined);
    const said = Object.entries(wanted).filter(([, value]) => value !== null && value !== "").map(([name, value]) => `${name} = ${value}`).join(", ");
    const typed = any ? null : field("Type all to go on", "typed", { required: true });
    const limit = field("At most", "limit", { kind: "number", min: 1, max: REPLAY_MAX, value: "100", required: true });
    const done = await confirm({
      title: any ? "Replay what the filter finds?" : "Replay all dead letters?", verb: "Replay", danger: !any,
      text: [any ? `Those with ${said}.` : "No filter is set: this is every letter that was not replayed yet.", "Each goes back to notifications once, and contends for its slot like any other event. Mend the cause first."],
      fields: [limit.box, typed?.box],
      act: () => {
        if (typed && typed.control.value.trim() !== "all") throw new Error("Type all, or set a filter.");
        return post(`dead-letters/replay${query({ ...wanted, limit: limit.control.value, all: any ? null : "true" })}`, { requested_by: who() });
      },
    });
    if (!done) return;
    showReplays(done.body.replays);
    list.reload();
  }

  async function inspect(where) {
    const content = h("div", { class: "dialog-body" }, h("p", { class: "loading" }, "Loading …"));
    openDialog(`Dead letter ${where}`, content, { wide: true });
    try {
      fill(content, letter(await get(path("dead-letters", where), { signal })));
    } catch (problem) {
      fill(content, notice(problem.message, "bad"));
    }
  }

  fill(body, form, list.element);
  shortcutsOf(signal, [["r", "Load anew", () => list.reload()]]);
}

function showReplays(replays) {
  const refused = replays.filter((each) => each.refused);
  toast(`${plural(replays.length - refused.length, "letter")} replayed, ${refused.length} not.`, refused.length ? "warn" : "good");
  if (!refused.length) return;
  const shown = table("What was not replayed", [
    { name: "Place", heading: true, cell: (each) => id(each.place) },
    { name: "Why not", wide: true, cell: (each) => h("bdi", {}, each.refused) },
  ]);
  shown.show(refused);
  openDialog("Not replayed", h("div", { class: "dialog-body" }, shown.element), { wide: true });
}

function letter(found) {
  const { notification } = found;
  return [
    facts([
      ["What is wrong", chip(words(found.code), "bad")],
      ["Reason", h("bdi", {}, found.reason)],
      ["Stage", found.stage],
      ["Read from", place(found.topic, found.partition, found.offset)],
      ["Given up", when(found.at)],
      ["Notification", notification ? story(notification.user_id, notification.type, notification.notification_id) : found.notification_id],
      ["Key", found.key ? id(textOf(found.key)) : null],
    ]),
    found.history?.length ? [h("h3", {}, "What the providers answered"), h("ol", {}, found.history.map((each) => h("li", {}, h("bdi", {}, each))))] : null,
    notification ? [h("h3", {}, "The notification"), json(notification)] : [h("h3", {}, "The record, as bytes"), code(hexOf(found.value))],
    found.headers?.length ? [h("h3", {}, "Headers"), facts(found.headers.map((each) => [h("bdi", {}, each.key), id(textOf(each.value))]))] : null,
  ];
}

function bytesOf(base64) {
  return base64 ? Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)) : new Uint8Array();
}

function textOf(base64) {
  return new TextDecoder().decode(bytesOf(base64));
}

const SHOWN_BYTES = 1024;

function hexOf(base64) {
  const bytes = bytesOf(base64);
  const lines = [];
  for (let start = 0; start < Math.min(bytes.length, SHOWN_BYTES); start += 16) {
    const part = [...bytes.subarray(start, start + 16)];
    const hex = part.map((each) => each.toString(16).padStart(2, "0")).join(" ").padEnd(47);
    lines.push(`${start.toString(16).padStart(6, "0")}  ${hex}  ${part.map((each) => (each > 31 && each < 127 ? String.fromCharCode(each) : ".")).join("")}`);
  }
  return lines.join("\n") + (bytes.length > SHOWN_BYTES ? `\n… ${bytes.length - SHOWN_BYTES} bytes more` : "") || "no value";
}
