// Keys that work everywhere but in a field. `?` lists them.

import { h } from "../show/dom.js";
import { openDialog } from "./dialog.js";

const shortcuts = [];
let pending = "";
let pendingUntil = 0;
const SEQUENCE_MS = 1_200;

/** Makes a key, or two after each other (`g o`), do something; the words stand in the list. */
export function shortcut(keys, words, act, { hidden = false } = {}) {
  shortcuts.push({ keys, words, act, hidden });
}

/** Drops those that belong to a view that is left. */
export function shortcutsOf(signal, entries) {
  for (const [keys, words, act] of entries) {
    const entry = { keys, words, act, hidden: false };
    shortcuts.push(entry);
    signal.addEventListener("abort", () => shortcuts.splice(shortcuts.indexOf(entry), 1), { once: true });
  }
}

function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

export function listenForShortcuts() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const now = performance.now();
    const sequence = now < pendingUntil && pending ? `${pending} ${event.key}` : event.key;
    const found = shortcuts.find((each) => each.keys === sequence) ?? shortcuts.find((each) => each.keys === event.key);
    pending = "";
    if (found) {
      event.preventDefault();
      found.act();
    } else if (shortcuts.some((each) => each.keys.startsWith(`${event.key} `))) {
      pending = event.key;
      pendingUntil = now + SEQUENCE_MS;
    }
  });
  shortcut("?", "Show this list", showShortcuts);
}

export function showShortcuts() {
  const rows = shortcuts
    .filter((each) => !each.hidden)
    .map((each) =>
      h("div", {}, h("dt", {}, each.keys.split(" ").map((key) => h("kbd", {}, key))), h("dd", {}, each.words)),
    );
  openDialog("Keys", h("div", { class: "dialog-body" }, h("p", {}, "They work wherever you are not typing."), h("dl", { class: "keys" }, rows)));
}
