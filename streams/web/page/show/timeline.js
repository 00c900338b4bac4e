// The story of a notification as a timeline: each change of state, when, why, and where it is written.

import { h } from "./dom.js";
import { id, kindOf, place, state, time } from "./chips.js";
import { duration, instant, relative } from "./format.js";

/** The steps, oldest first. */
export function timeline(steps) {
  return h("ol", { class: "timeline" }, steps.map((step, index) => {
    const before = index > 0 ? step.at - steps[index - 1].at : null;
    return h(
      "li",
      { class: kindOf(step.state) },
      h("div", { class: "head" }, state(step.state), time(step.at), before === null ? h("span", { class: "far" }, relative(step.at)) : h("span", { class: "far" }, before >= 0 ? `+${duration(before)}` : `−${duration(before)}`)),
      step.reason ? h("p", { class: "reason" }, h("bdi", {}, step.reason)) : null,
      h("p", { class: "where" }, details(step)),
    );
  }));
}

function details(step) {
  const said = [];
  if (step.stage) said.push(h("span", {}, step.stage));
  if (step.attempt) said.push(h("span", {}, `attempt ${step.attempt}`));
  if (step.provider) said.push(h("span", {}, step.provider));
  if (step.device_id) said.push(h("span", {}, "device ", id(step.device_id)));
  if (step.by_notification_id) said.push(h("span", {}, "because of ", id(step.by_notification_id)));
  if (step.until) said.push(h("span", {}, "until ", instant(step.until)));
  if (step.topic !== undefined && step.offset !== undefined) said.push(place(step.topic, step.partition, step.offset));
  return said;
}
