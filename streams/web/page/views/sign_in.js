// Signing in with an API key. The worker answers with a cookie that scripts cannot read; the key is kept nowhere.

import { fill, h } from "../show/dom.js";
import { mark } from "../show/icons.js";
import { signIn } from "../shell/session.js";

/** Shows the form in place of everything; calls `enter` once somebody is signed in. */
export function showSignIn(words, enter) {
  const wrong = h("div", { role: "alert", id: "sign-in-wrong" });
  const key = h("input", { type: "password", id: "key", name: "key", autocomplete: "current-password", required: true, "aria-describedby": "sign-in-wrong", spellcheck: "false" });
  const button = h("button", { class: "primary", type: "submit" }, "Sign in");
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    fill(wrong);
    try {
      await signIn(key.value);
      key.value = "";
      enter();
    } catch (problem) {
      const refused = problem.status === 401 || problem.status === 403;
      fill(wrong, h("p", { class: "notice bad" }, refused ? "No such key, or it does not count any more." : problem.message));
      key.select();
      key.focus();
    } finally {
      button.disabled = false;
    }
  };
  document.title = "Sign in · ringonce";
  fill(
    document.getElementById("app"),
    h(
      "main",
      { id: "main", class: "alone" },
      mark(),
      h("h1", {}, "Sign in to ringonce"),
      words ? h("p", { role: "status" }, words) : null,
      h("form", { onsubmit: submit }, h("label", { for: "key" }, "API key"), key, button, wrong),
      h("p", { class: "hint" }, "What you may do here is what the scopes of the key allow: read, send, admin."),
    ),
  );
  key.focus();
}
