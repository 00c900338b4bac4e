// A part of a view that is loaded on its own: it says that it loads, what went wrong, and what there is.

import { isAbort } from "../ask/problems.js";
import { fill, freshId, h } from "./dom.js";

/** section(title, load, draw) → { element, reload }. `draw` gives the content for what `load` gives. */
export function section(title, load, draw, { actions = null, level = "h2" } = {}) {
  const id = freshId("section");
  const place = h("div", {}, h("p", { class: "loading" }, "Loading …"));
  const element = h("section", { class: "card", "aria-labelledby": id }, h("header", {}, h(level, { id }, title), actions ? h("div", { class: "actions" }, actions) : null), place);
  let turn = 0;

  async function reload() {
    turn += 1;
    const mine = turn;
    element.setAttribute("aria-busy", "true");
    try {
      const found = await load();
      if (mine === turn) fill(place, await draw(found));
    } catch (error) {
      if (isAbort(error) || mine !== turn) return;
      fill(place, h("p", { class: "notice bad", role: "alert" }, error.message), h("button", { type: "button", onclick: reload }, "Try again"));
    } finally {
      if (mine === turn) element.removeAttribute("aria-busy");
    }
  }

  reload();
  return { element, reload };
}
