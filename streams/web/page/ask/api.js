// Asks the worker that has served the page. What is not a success becomes a Problem with words for a person.

import { Problem, problemOf, unreachable } from "./problems.js";

const SECONDS_MAX = 30;
const AGAIN_SECONDS_MAX = 3;
const ATTEMPTS_MAX = 4;
let csrfToken = null;
let onUnauthorized = () => {};

/** The token that goes with each change once somebody has signed in. */
export function useCsrfToken(token) {
  csrfToken = token;
}

/** What is done when the server says that nobody is signed in any more. */
export function whenUnauthorized(act) {
  onUnauthorized = act;
}

/** A path of parts, each quoted as a whole. A browser cuts `.` and `..` out of any path, so they cannot be asked for. */
export function path(...parts) {
  for (const part of parts) {
    if (part === "." || part === "..") {
      throw new Problem(0, `A browser cannot ask for “${part}”: it takes it for a step in the path. ringonce can.`);
    }
  }
  return parts.map(encodeURIComponent).join("/");
}

/** A query of what is given; nothing for null, undefined and empty texts. */
export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `?${text}` : "";
}

/** Asks; where the worker says that it has done nothing and when to come again, it comes again, for a while. */
async function ask(method, where, body, options = {}) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once(method, where, body, options);
    } catch (problem) {
      const untouched = problem.status === 429 || (problem.status === 503 && method === "GET");
      const seconds = problem.retryAfter ?? SECONDS_MAX;
      if (!untouched || seconds > AGAIN_SECONDS_MAX || attempt === ATTEMPTS_MAX) throw problem;
      await pause(seconds * 1000, options.signal);
    }
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

async function once(method, where, body, { signal, headers = {} }) {
  const limit = AbortSignal.timeout(SECONDS_MAX * 1000);
  const init = { method, headers: { Accept: "application/json, application/problem+json, */*;q=0.5", ...headers }, cache: "no-store", redirect: "error" };
  init.signal = signal ? AbortSignal.any([signal, limit]) : limit;
  if (method !== "GET" && csrfToken) init.headers["X-CSRF-Token"] = csrfToken;
  if (body !== undefined) {
    init.body = typeof body === "string" ? body : JSON.stringify(body);
    init.headers["Content-Type"] = typeof body === "string" ? "text/plain; charset=utf-8" : "application/json";
  }
  let answer;
  let text;
  try {
    answer = await fetch(where, init);
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable(error);
  }
  let document = null;
  try {
    document = text ? JSON.parse(text) : null;
  } catch {
    document = null;
  }
  if (answer.ok) return { status: answer.status, body: document };
  if (answer.status === 401 && where !== "session") onUnauthorized();
  throw problemOf(answer, document);
}

export const get = async (where, options) => (await ask("GET", where, undefined, options)).body;
export const post = (where, body, options) => ask("POST", where, body, options);
export const put = (where, body, options) => ask("PUT", where, body, options);
export const remove = (where, body, options) => ask("DELETE", where, body, options);

/** What `get` gives, or null where there is nothing of the kind. */
export async function find(where, options) {
  try {
    return await get(where, options);
  } catch (problem) {
    if (problem.status === 404) return null;
    throw problem;
  }
}
