// Starts the page: colours, who is signed in, the frame, and from then on the view that the address names.

import { useCsrfToken, whenUnauthorized } from "./ask/api.js";
import { isAbort } from "./ask/problems.js";
import { fill, h } from "./show/dom.js";
import { announce } from "./shell/announce.js";
import { VIEWS, buildFrame, markView } from "./shell/frame.js";
import { follow, go, parse } from "./shell/router.js";
import { allows, loadSession } from "./shell/session.js";
import { listenForShortcuts, shortcut } from "./shell/shortcuts.js";
import { applyTheme } from "./shell/theme.js";
import { showSignIn } from "./views/sign_in.js";
import * as auditLog from "./views/audit_log.js";
import * as broadcasts from "./views/broadcasts.js";
import * as compose from "./views/compose.js";
import * as historyView from "./views/history.js";
import * as letters from "./views/letters.js";
import * as overview from "./views/overview.js";
import * as schedule from "./views/schedule.js";
import * as templates from "./views/templates.js";
import * as users from "./views/users.js";

const MODULES = { overview, users, schedule, broadcasts, letters, templates, history: historyView, log: auditLog, compose };
let main = null;
let shown = false;
let leaving = null; // ends what the view that is shown has under way

function show(address) {
  if (!main) return;
  leaving?.abort();
  document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
  leaving = new AbortController();
  const { signal } = leaving;
  const allowed = VIEWS.filter((view) => allows(view.scope));
  const entry = allowed.find((view) => view.name === address.view) ?? allowed[0];
  if (!entry) return void fill(main, h("h1", {}, "ringonce"), h("p", { class: "notice warn" }, "Your key allows nothing that this page shows."));
  markView(entry.name);
  const heading = h("h1", { tabindex: "-1" }, entry.words);
  const body = h("div", { class: `view view-${entry.name}` });
  fill(main, heading, body);
  document.title = `${entry.words} · ringonce`;
  Promise.resolve(MODULES[entry.name].show({ body, heading, parts: address.parts, query: address.query, signal })).catch((error) => {
    if (!isAbort(error)) body.append(h("p", { class: "notice bad", role: "alert" }, error.message));
  });
  scrollTo(0, 0);
  if (shown) {
    // Whoever goes on from here by key begins at the new view. A page that has just come begins at its top.
    const elsewhere = document.activeElement !== document.body && !main.contains(document.activeElement);
    if (!elsewhere && !body.contains(document.activeElement)) heading.focus({ preventScroll: true });
    announce(entry.words);
  }
  shown = true;
}

function askForKey(words) {
  leaving?.abort();
  main = null;
  useCsrfToken(null);
  showSignIn(words, enter);
}

function signedOut(unheard) {
  askForKey(unheard?.message ?? "You are signed out.");
}

function enter() {
  main = buildFrame(signedOut);
  show(parse(location.hash));
}

/** The link past the navigation: an address of its own would be taken for that of a view. */
function skipToContent(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

async function start() {
  applyTheme();
  listenForShortcuts();
  document.querySelector(".skip").addEventListener("click", skipToContent);
  shortcut("/", "Find a user", () => document.getElementById("search")?.focus());
  for (const view of VIEWS) shortcut(view.key, view.words, () => go(view.name));
  shortcut("t", "Change the colours", () => document.getElementById("theme")?.click());
  whenUnauthorized(() => main && askForKey("Your session has ended. Sign in again; you stay where you are."));
  let session;
  try {
    session = await loadSession();
  } catch (problem) {
    const again = h("button", { type: "button", onclick: () => location.reload() }, "Try again");
    fill(document.getElementById("app"), h("main", { id: "main", class: "alone" }, h("h1", {}, "ringonce"), h("p", { class: "notice bad", role: "alert" }, problem.message), again));
    return;
  }
  if (session === null) askForKey(null);
  else main = buildFrame(signedOut);
  follow(show);
}

start();
