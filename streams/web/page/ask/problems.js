// What can go wrong between the page and the worker, in words.

/** A refusal or a failure. `status` is 0 where nobody has answered; `detail` are the server's words, `fields` those by field. */
export class Problem extends Error {
  constructor(status, message, { retryAfter = null, fields = [], detail = null } = {}) {
    super(message);
    this.name = "Problem";
    this.status = status;
    this.retryAfter = retryAfter;
    this.fields = fields;
    this.detail = detail;
  }
}

const WORDS = {
  401: "You are not signed in, or no longer.",
  403: "Your key does not allow this.",
  404: "There is nothing of the kind.",
  413: "That is too much at once.",
  429: "Too much is asked for at the moment.",
  500: "The worker has made a mistake; its log says more.",
  503: "The worker cannot answer right now: partitions are moving, or Kafka is slow.",
};

export function unreachable(error) {
  const silent = error?.name === "TimeoutError";
  return new Problem(0, silent ? "The worker does not answer in time." : "The worker cannot be reached.");
}

export function problemOf(answer, document) {
  const detail = typeof document?.detail === "string" ? document.detail : null;
  const retryAfter = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  const seconds = Number.isFinite(retryAfter) ? retryAfter : null;
  const again = seconds === null ? "" : ` Ask again in ${seconds} s.`;
  const words = WORDS[answer.status] ?? `The worker answers ${answer.status}.`;
  const general = answer.status === 400 || answer.status === 409 || answer.status === 422;
  const message = detail && general ? detail : detail ? `${words} It says: ${detail}.`.replace("..", ".") : words;
  const fields = Array.isArray(document?.errors) ? document.errors : [];
  return new Problem(answer.status, message + again, { retryAfter: seconds, fields, detail });
}

/** A function may be left by leaving the view: that is no problem. */
export function isAbort(error) {
  return error?.name === "AbortError";
}
