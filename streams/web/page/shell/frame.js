// What stands around every view: the header with the search, the navigation, and the place of the view.

import { fill, h } from "../show/dom.js";
import { icon, mark } from "../show/icons.js";
import { announce, toast } from "./announce.js";
import { go, href } from "./router.js";
import { nextTheme, theme } from "./theme.js";
import { showShortcuts } from "./shortcuts.js";
import { allows, isOpen, signOut, who } from "./session.js";

export const VIEWS = [
  { name: "overview", words: "Overview", key: "g o", scope: "read" },
  { name: "users", words: "Users", key: "g u", scope: "read" },
  { name: "schedule", words: "Schedule", key: "g s", scope: "read" },
  { name: "broadcasts", words: "Broadcasts", key: "g b", scope: "read" },
  { name: "letters", words: "Dead letters", key: "g d", scope: "read" },
  { name: "templates", words: "Templates", key: "g t", scope: "read" },
  { name: "history", words: "History", key: "g h", scope: "read" },
  { name: "log", words: "Audit log", key: "g l", scope: "admin" },
  { name: "compose", words: "Compose", key: "g c", scope: "send" },
];

const THEME_WORDS = { auto: "as the system", light: "light", dark: "dark" };

function themeButton() {
  const button = h("button", { type: "button", class: "quiet", id: "theme" });
  const show = () => {
    fill(button, icon(theme()));
    button.setAttribute("aria-label", `Colours: ${THEME_WORDS[theme()]}`);
    button.title = `Colours: ${THEME_WORDS[theme()]}`;
  };
  button.addEventListener("click", () => {
    announce(`Colours: ${THEME_WORDS[nextTheme()]}`);
    show();
  });
  show();
  return button;
}

function search() {
  const field = h("input", {
    type: "search", id: "search", name: "user", placeholder: "Find a user by id", "aria-label": "Find a user by id",
    autocomplete: "off", spellcheck: "false", autocapitalize: "off",
  });
  const submit = (event) => {
    event.preventDefault();
    if (!field.value) return;
    go("users", [field.value]);
    field.value = "";
    field.blur();
  };
  return h("form", { role: "search", class: "search", onsubmit: submit }, icon("search"), field, h("kbd", { "aria-hidden": "true" }, "/"));
}

/** Builds the frame; returns where the view goes. */
export function buildFrame(leave) {
  const menu = h(
    "button",
    {
      type: "button", class: "quiet menu", "aria-expanded": "false", "aria-controls": "views",
      onclick: () => setMenu(menu.getAttribute("aria-expanded") !== "true"),
    },
    icon("menu"), h("span", { class: "unseen" }, "Menu"),
  );
  const links = VIEWS.filter((view) => allows(view.scope)).map((view) =>
    h("li", {}, h("a", { href: href(view.name), "data-view": view.name, title: `${view.words} (${view.key})` }, icon(view.name), h("span", {}, view.words))),
  );
  const nav = h("nav", { id: "views", "aria-label": "Views" }, h("ul", {}, links));
  nav.addEventListener("click", () => setMenu(false));
  nav.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      setMenu(false);
      menu.focus();
    }
  });
  function setMenu(open) {
    menu.setAttribute("aria-expanded", String(open));
    nav.classList.toggle("open", open);
  }
  const out = isOpen() ? null : h(
    "button",
    { type: "button", class: "quiet", "aria-label": `Sign out ${who()}`, title: `Sign out ${who()}`, onclick: () => signOut().then(leave, (problem) => toast(`You are still signed in. ${problem.message}`, "warn")) },
    icon("leave"),
  );
  const main = h("main", { id: "main", tabindex: "-1" });
  fill(
    document.getElementById("app"),
    h(
      "header",
      { class: "top" },
      menu,
      h("a", { class: "brand", href: href("overview") }, mark(), h("span", {}, "ringonce")),
      search(),
      h("p", { id: "connection", class: "connection" }),
      h("div", { class: "tools" }, themeButton(),
        h("button", { type: "button", class: "quiet", "aria-label": "Keys", title: "Keys (?)", onclick: showShortcuts }, icon("keys")), out),
    ),
    nav,
    main,
  );
  return main;
}

/** Marks the link of the view that is shown. */
export function markView(name) {
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Says in the header how it stands with the workers: good, warn or bad. */
export function showConnection(kind, words) {
  const place = document.getElementById("connection");
  if (!place || (place.dataset.kind === kind && place.textContent === words)) return;
  place.dataset.kind = kind;
  fill(place, h("span", { class: "dot", "aria-hidden": "true" }), words);
}
