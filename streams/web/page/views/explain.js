// The answer to "why?": one sentence, what blocks the slot, what would happen to one sent now.

import { h } from "../show/dom.js";
import { json, state, story, when } from "../show/chips.js";
import { facts } from "../show/table.js";

/** Shows an explanation; what a newer worker says beyond it stands below as it came. */
export function explanation(userId, document) {
  const sentence = document.sentence ?? document.because ?? document.detail ?? "";
  const slot = document.slot ?? null;
  return [
    h("p", { class: "sentence" }, h("bdi", {}, sentence)),
    slot ? slotOf(userId, document.type ?? slot.type, slot) : null,
    document.now?.sentence ?? document.would ? h("p", { class: "hint" }, h("bdi", {}, document.now?.sentence ?? document.would)) : null,
    h("details", {}, h("summary", {}, "As data"), json(document)),
  ];
}

/** Who holds a slot, and until when. */
export function slotOf(userId, type, slot) {
  const holders = slot.holders ?? [];
  return facts([
    ["Free places", slot.free_places === undefined ? null : `${slot.free_places} of ${slot.limit}`],
    ["Suppressed since", slot.suppressed_since ?? null],
    ...holders.flatMap((holder) => [
      ["Held by", [story(userId, type, holder.notification_id), " ", state(holder.phase)]],
      ["Blocked until", when(holder.blocked_until)],
    ]),
  ]);
}
