// The answer to "why?": one sentence, what blocks the slot, what would happen to one sent now.

import { h } from "../show/dom.js";
import { json, sentence, state, story, when } from "../show/chips.js";
import { count } from "../show/format.js";
import { facts } from "../show/table.js";

/** Shows an explanation: of one notification, of the slot now, and of one that would be sent now. */
export function explanation(userId, document) {
  const { notification, slot, now, type } = document;
  return [
    h("p", { class: "sentence" }, sentence(document.sentence)),
    notification ? facts([
      [notification.final ? "Its end" : "Stands at", [state(notification.state), notification.at ? [" ", when(notification.at)] : null]],
      ["Notification", notification.notification_id ? story(userId, type, notification.notification_id) : null],
      ["In its way", notification.by_notification_id ? story(userId, type, notification.by_notification_id) : null],
    ]) : null,
    slot ? [h("h3", {}, "The slot now"), h("p", {}, sentence(slot.sentence)), slotOf(userId, type, slot)] : null,
    now ? [h("h3", {}, "One sent now"), h("p", {}, sentence(now.sentence))] : null,
    h("details", {}, h("summary", {}, "As data"), json(document)),
  ];
}

/** Who holds a slot, and until when. */
export function slotOf(userId, type, slot) {
  const holders = slot.holders ?? [];
  return facts([
    ["Free places", slot.free_places === undefined ? null : `${slot.free_places} of ${slot.limit}`],
    ...holders.flatMap((holder) => [
      ["Held by", [story(userId, type, holder.notification_id), " ", state(holder.phase)]],
      ["Blocked until", when(holder.blocked_until)],
      ["Suppressed since", holder.suppressed_since === null ? null : count(holder.suppressed_since)],
    ]),
  ]);
}
