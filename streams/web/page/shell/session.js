// Who is signed in, and what that allows. Where the worker asks for no keys, everything is open.

import { get, post, remove, useCsrfToken } from "../ask/api.js";

let session = null;

/** Finds out who is signed in; null: nobody, and the worker asks for a key. */
export async function loadSession() {
  try {
    session = known(await get("session"));
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    session = null;
  }
  return session;
}

export async function signIn(key) {
  session = known((await post("session", { key })).body);
  return session;
}

/** Ends the session. A 503 says that it is over here, and that others may not have heard of it. */
export async function signOut() {
  let unheard = null;
  try {
    await remove("session");
  } catch (problem) {
    if (problem.status !== 503) throw problem;
    unheard = problem;
  }
  useCsrfToken(null);
  session = null;
  return unheard;
}

function known(document) {
  useCsrfToken(document.csrf_token || null);
  return document;
}

/** Whether what is asked for is in reach: read, send or admin. The worker decides; this hides what it would refuse. */
export function allows(scope) {
  return session !== null && (session.scopes.includes(scope));
}

export function who() {
  return session && !session.open ? session.name : "admin page";
}

export function isOpen() {
  return session?.open ?? false;
}
