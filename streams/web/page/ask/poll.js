// Asks again and again, never twice at once, not while nobody looks, and more slowly while nobody answers.

import { isAbort } from "./problems.js";

const BACKOFF_MAX_MS = 15_000;

/** Runs `ask` every `everyMs` until `signal` says so. Returns a function that asks at once. */
export function poll(ask, everyMs, signal) {
  let timer = null;
  let failures = 0;
  let running = false;

  async function turn() {
    clearTimeout(timer);
    if (signal.aborted || running) return;
    if (document.hidden) return; // `visibilitychange` goes on
    running = true;
    let waitMs = everyMs;
    try {
      await ask();
      failures = 0;
    } catch (error) {
      if (isAbort(error) && signal.aborted) return;
      failures += 1;
      waitMs = Math.min(BACKOFF_MAX_MS, Math.max(everyMs, (error.retryAfter ?? 0) * 1000, everyMs * 2 ** (failures - 1)));
    } finally {
      running = false;
    }
    if (!signal.aborted) timer = setTimeout(turn, waitMs);
  }

  document.addEventListener("visibilitychange", turn, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  turn();
  return turn;
}
