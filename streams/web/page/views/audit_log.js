// The audit log: what admins did, and who was refused.

import { get, query } from "../ask/api.js";
import { fill, h } from "../show/dom.js";
import { chip, id, notice, when } from "../show/chips.js";
import { section } from "../show/section.js";
import { table } from "../show/table.js";
import { shortcutsOf } from "../shell/shortcuts.js";

const PAGE = 50;
const KINDS = { STARTED: "info", DONE: "good", FAILED: "bad", REFUSED: "warn" };

export function show({ body, signal }) {
  const shown = table("Entries, the newest first", [
    { name: "At", cell: (each) => when(each.at) },
    { name: "Action", heading: true, cell: (each) => id(each.action) },
    { name: "Outcome", cell: (each) => [chip(each.outcome.toLowerCase(), KINDS[each.outcome]), each.status ? ` ${each.status}` : ""] },
    { name: "Who", cell: (each) => [h("bdi", {}, each.key_name || each.by), each.address ? [" from ", id(each.address)] : null] },
    { name: "What", wide: true, cell: (each) => [id(`${each.method} ${each.target}`), each.detail ? [h("br", {}), h("bdi", {}, each.detail)] : null] },
  ], { empty: "Nobody has done anything that stands here." });
  const wrong = h("div", { role: "alert" });
  const more = h("button", { type: "button", hidden: true, onclick: older }, "Show older ones");
  let rows = [];
  let next = null;

  async function load(before = null) {
    const found = await get(`audit-log${query({ limit: PAGE, before })}`, { signal });
    rows = before === null ? found.entries : [...rows, ...found.entries];
    next = found.before;
    more.hidden = next === null;
    shown.show(rows);
  }

  async function older() {
    more.disabled = true;
    fill(wrong);
    await load(next).catch((problem) => fill(wrong, notice(problem.message, "bad")));
    more.disabled = false;
  }

  const list = section("Entries", () => load(), () => [shown.element, wrong, more], { actions: h("button", { type: "button", onclick: () => list.reload() }, "Reload") });
  fill(body, list.element);
  shortcutsOf(signal, [["r", "Load anew", () => list.reload()]]);
}
