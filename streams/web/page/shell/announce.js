// What a screen reader is told when something has happened that nothing focused shows.

import { h } from "../show/dom.js";

let last = "";

/** Says a sentence once; the same again is said again only when it is asked for after another one. */
export function announce(sentence) {
  const place = document.getElementById("said");
  if (sentence === last) place.replaceChildren();
  last = sentence;
  place.textContent = sentence;
}

const SHOWN_MS = 6_000;

/** Shows a sentence at the edge of the window for some seconds, and says it. */
export function toast(sentence, kind = "good") {
  announce(sentence);
  let tray = document.getElementById("toasts");
  if (!tray) {
    tray = h("div", { id: "toasts", "aria-hidden": "true" });
    document.body.append(tray);
  }
  const shown = h("p", { class: `toast ${kind}` }, sentence);
  tray.append(shown);
  setTimeout(() => shown.remove(), SHOWN_MS);
}
