// Broadcasts: how far each has come, and pausing, resuming, cancelling and starting them.

import { get, path, post } from "../ask/api.js";
import { poll } from "../ask/poll.js";
import { isAbort } from "../ask/problems.js";
import { fill, h } from "../show/dom.js";
import { id, json, notice, state, when } from "../show/chips.js";
import { count, duration, perSecond, plural } from "../show/format.js";
import { facts, table } from "../show/table.js";
import { toast } from "../shell/announce.js";
import { confirm, openDialog } from "../shell/dialog.js";
import { allows, who } from "../shell/session.js";
import { shortcutsOf } from "../shell/shortcuts.js";
import { newBroadcast } from "./broadcast_form.js";

const EVERY_MS = 2_000;
const UNFINISHED = ["LOADING", "STARTING", "RUNNING", "PAUSED"];
const AUDIENCES = { ALL: "everybody", LIST: "a list", FILTER: "a filter" };

export function show({ body, heading, signal }) {
  const problem = h("div", { role: "alert" });
  const list = h("ul", { class: "cards" });
  const none = h("p", { class: "empty", hidden: true }, "No broadcast is known. One that has ended is remembered for a while.");
  const cards = new Map();
  const start = () => newBroadcast((name) => {
    toast(`${name} is started.`);
    again();
  });
  if (allows("admin")) {
    heading.after(h("div", { class: "toolbar" }, h("button", { type: "button", class: "primary", onclick: start }, "Start one …")));
    shortcutsOf(signal, [["n", "Start a broadcast", start]]);
  }
  fill(body, problem, list, none);

  const again = poll(
    async () => {
      let found;
      try {
        found = await get("broadcasts", { signal });
      } catch (error) {
        if (!isAbort(error)) fill(problem, notice(error.message, "bad"));
        throw error;
      }
      fill(problem);
      none.hidden = found.broadcasts.length > 0;
      // Cards stay the same elements, so that the focus stays where it is while the figures go on.
      const names = new Set(found.broadcasts.map((each) => each.broadcast_id));
      for (const [name, card] of cards) {
        if (!names.has(name)) {
          card.element.remove();
          cards.delete(name);
        }
      }
      found.broadcasts.forEach((each, index) => {
        if (!cards.has(each.broadcast_id)) cards.set(each.broadcast_id, broadcastCard(each.broadcast_id, () => again(), signal));
        const { element, show: draw } = cards.get(each.broadcast_id);
        if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
        draw(each);
      });
    },
    EVERY_MS,
    signal,
  );
}

function broadcastCard(name, changed, signal) {
  const head = h("div", { class: "head" });
  const bar = h("progress", { "aria-label": `How far ${name} has come`, max: 1 });
  const words = h("p", { class: "progress-words" });
  const rest = h("div", {});
  const buttons = {
    pause: h("button", { type: "button", class: "small", onclick: () => act("pause", "Pause this broadcast?", "Pause it", "What was told is told; the rest waits.") }, "Pause"),
    resume: h("button", { type: "button", class: "small", onclick: () => act("resume", "Go on with this broadcast?", "Go on", "It goes on where it stopped.") }, "Resume"),
    cancel: h("button", { type: "button", class: "small danger", onclick: () => act("cancel", "Cancel this broadcast?", "Cancel it", "Whoever was not told yet is not told. This cannot be undone.", true) }, "Cancel"),
    details: h("button", { type: "button", class: "small", onclick: () => details(name, signal) }, "Details"),
  };
  for (const [action, button] of Object.entries(buttons)) button.setAttribute("aria-label", `${action[0].toUpperCase()}${action.slice(1)} ${name}`);
  const element = h("li", { class: "card broadcast" }, head, bar, words, rest, h("div", { class: "actions" }, Object.values(buttons)));
  let last = "";

  async function act(action, title, verb, text, danger = false) {
    const done = await confirm({ title, verb, danger, text: [h("p", {}, id(name)), text], act: () => post(path("broadcasts", name, action), { requested_by: who() }) });
    if (!done) return;
    toast(done.status === 202 ? "It is on Kafka; some partitions have not answered yet." : `${name}: ${String(done.body.state).toLowerCase()}`);
    changed();
  }

  function draw(each) {
    const text = JSON.stringify(each);
    if (text === last) return;
    last = text;
    const running = UNFINISHED.includes(each.state);
    fill(head, h("h2", {}, id(name)), state(each.state), each.dry_run ? h("span", { class: "chip calm" }, "dry run") : null,
      h("span", { class: "hint" }, each.type ? [id(each.type), " to ", AUDIENCES[each.audience] ?? ""] : null));
    if (each.users === null) bar.removeAttribute("value");
    else bar.value = each.users ? each.seen / each.users : 1;
    bar.hidden = !running && each.users === null;
    words.textContent = progress(each);
    fill(rest, facts([
      ["Told", count(each.emitted)],
      ["Not matched", each.not_matched || null],
      ["Pace", each.state === "RUNNING" ? perSecond(each.told_per_second) : null],
      ["Waits for", each.waits_for?.join(", ") ?? null],
      ["Reason", each.reason ? h("bdi", {}, each.reason) : null],
      ["Started", when(each.started_at)],
      ["Ended", running ? null : when(each.changed_at)],
    ]));
    const admin = allows("admin");
    const inReach = { pause: admin && each.state === "RUNNING", resume: admin && each.state === "PAUSED", cancel: admin && running, details: true };
    for (const [action, button] of Object.entries(buttons)) {
      if (!inReach[action] && document.activeElement === button) buttons.details.focus();
      button.hidden = !inReach[action];
    }
  }

  return { element, show: draw };
}

function progress(each) {
  if (each.users === null) return `${count(each.seen)} users looked at; how many there are is being counted.`;
  const share = each.users ? Math.floor((each.seen / each.users) * 100) : 100;
  const left = each.state === "RUNNING" && each.seconds_left !== null && each.seconds_left !== undefined ? `, about ${duration(each.seconds_left * 1000)} left` : "";
  return `${count(each.seen)} of ${plural(each.users, "user")} (${share} %)${left}`;
}

async function details(name, signal) {
  const place = h("div", { class: "dialog-body" }, h("p", { class: "loading" }, "Loading …"));
  openDialog(`Broadcast ${name}`, place, { wide: true });
  try {
    const found = await get(path("broadcasts", name), { signal });
    const { partitions, ...whole } = found;
    const shown = table("By partition", [
      { name: "Partition", heading: true, number: true, cell: ([number]) => number },
      { name: "State", cell: ([, each]) => state(each.state) },
      { name: "Users", number: true, cell: ([, each]) => count(each.users) },
      { name: "Looked at", number: true, cell: ([, each]) => count(each.seen) },
      { name: "Told", number: true, cell: ([, each]) => count(each.emitted) },
    ]);
    shown.show(Object.entries(partitions));
    fill(place, shown.element, h("h3", {}, "As it was asked for"), json(whole));
  } catch (error) {
    if (!isAbort(error)) fill(place, notice(error.message, "bad"));
  }
}
