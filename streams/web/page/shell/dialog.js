// Questions that must be answered first. <dialog> keeps the focus inside and gives it back when it is closed.

import { fill, freshId, h } from "../show/dom.js";

/** Opens a dialog with this title and content; returns it, and it is gone once closed. */
export function openDialog(title, content, { wide = false } = {}) {
  const id = freshId("dialog");
  const dialog = h(
    "dialog",
    { class: wide ? "wide" : null, "aria-labelledby": id },
    h("header", {}, h("h2", { id }, title), h("button", { class: "quiet", type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "✕")),
    content,
  );
  const back = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (back?.isConnected) back.focus();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside it
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks for a confirmation, does it, and shows what went wrong where it was asked for. */
export function confirm({ title, text, verb, danger = false, fields = null, act }) {
  return new Promise((resolve) => {
    const wrong = h("div", { role: "alert" });
    const yes = h("button", { class: danger ? "danger" : "primary", type: "submit" }, verb);
    const form = h(
      "form",
      {
        onsubmit: async (event) => {
          event.preventDefault();
          yes.disabled = true;
          fill(wrong);
          try {
            const result = await act(new FormData(form));
            dialog.returnValue = "done";
            dialog.close();
            resolve(result ?? true);
          } catch (problem) {
            fill(wrong, h("p", { class: "notice bad" }, problem.message));
          } finally {
            yes.disabled = false;
          }
        },
      },
      [text].flat().map((each) => (each instanceof Node ? each : h("p", {}, each))),
      fields,
      wrong,
      h("div", { class: "actions" }, h("button", { type: "button", onclick: () => dialog.close() }, "Back"), yes),
    );
    const dialog = openDialog(title, form);
    dialog.addEventListener("close", () => resolve(null));
    (form.querySelector("input, textarea, select") ?? yes).focus();
  });
}
