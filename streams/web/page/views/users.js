// Users: one is searched by id; what is known of the user; the story of one of the notifications; why one was not sent.

import { href } from "../shell/router.js";
import { fill, h } from "../show/dom.js";
import { id } from "../show/chips.js";
import { field } from "../show/form.js";
import { go } from "../shell/router.js";
import { showStory } from "./story.js";
import { showUser } from "./user.js";

const KEY = "ringonce.users";
const KEPT = 8;

export async function show(view) {
  const { body, heading, parts } = view;
  if (parts.length === 0) return showSearch(body);
  const [userId, type, notificationId] = parts;
  keep(userId);
  const crumbs = h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("ol", {},
    h("li", {}, h("a", { href: href("users") }, "Users")),
    h("li", {}, type ? h("a", { href: href("users", [userId]) }, h("bdi", {}, userId)) : h("span", { "aria-current": "page" }, h("bdi", {}, userId))),
    notificationId ? h("li", {}, h("span", { "aria-current": "page" }, h("bdi", {}, notificationId))) : null));
  heading.before(crumbs);
  if (notificationId !== undefined) {
    fill(heading, "Notification ", id(notificationId));
    return showStory(view, userId, type, notificationId);
  }
  fill(heading, "User ", id(userId));
  return showUser(view, userId, type ?? null);
}

function showSearch(body) {
  const user = field("User id", "user", { required: true, hint: "As it stands in events and devices, byte for byte." });
  const submit = (event) => {
    event.preventDefault();
    go("users", [user.control.value]);
  };
  const recent = kept();
  fill(
    body,
    h("section", { class: "card narrow" }, h("form", { onsubmit: submit, class: "inline" }, user.box, h("button", { class: "primary", type: "submit" }, "Find"))),
    recent.length === 0 ? null : h("section", { class: "card narrow" }, h("h2", {}, "Looked at before"), h("ul", { class: "plain" }, recent.map((name) => h("li", {}, h("a", { class: "id", href: href("users", [name]) }, h("bdi", {}, name)))))),
  );
  user.control.focus();
}

function kept() {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((each) => typeof each === "string") : [];
  } catch {
    return [];
  }
}

function keep(name) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify([name, ...kept().filter((each) => each !== name)].slice(0, KEPT)));
  } catch {
    // then it is not kept
  }
}
