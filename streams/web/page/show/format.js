// Numbers, instants and durations as people read them. Instants are milliseconds since the epoch.

const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const SMALL = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const DAY_YEAR = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

export const NOTHING = "–";

export function count(value) {
  return value === null || value === undefined ? NOTHING : COUNT.format(value);
}

/** A figure for a small place: 0.42, 7.1, 940, 1.24K. */
export function short(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value === 0) return "0";
  return Math.abs(value) < 10 ? SMALL.format(value) : SHORT.format(value);
}

export function perSecond(value) {
  return value === null || value === undefined ? NOTHING : `${short(value)}/s`;
}

/** Seconds as a latency: 3.2 ms, 0.8 s, 2 min. */
export function latency(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  if (seconds === 0) return "0";
  if (seconds < 0.995) return `${short(seconds * 1000)} ms`;
  return seconds < 120 ? `${short(seconds)} s` : duration(seconds * 1000);
}

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
];

/** How long, in its two largest units: 3 d 4 h, 12 min 5 s, 340 ms. */
export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return NOTHING;
  let rest = Math.abs(milliseconds);
  if (rest < 1000) return `${Math.round(rest)} ms`;
  const parts = [];
  for (const [unit, size] of UNITS) {
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    if (whole > 0 || parts.length > 0) parts.push(whole > 0 ? `${whole} ${unit}` : "");
    if (parts.length === 2) break;
  }
  return parts.filter(Boolean).join(" ");
}

export function clock(at) {
  return TIME.format(at);
}

/** An instant by this browser's clock; the day only where it is not today. */
export function instant(at, now = Date.now()) {
  if (at === null || at === undefined) return NOTHING;
  const then = new Date(at);
  if (Number.isNaN(then.getTime())) return String(at);
  const today = new Date(now);
  if (then.toDateString() === today.toDateString()) return TIME.format(then);
  const day = then.getFullYear() === today.getFullYear() ? DAY : DAY_YEAR;
  return `${day.format(then)}, ${TIME.format(then)}`;
}

/** How long until or since: "in 4 min 10 s", "12 s ago". */
export function relative(at, now = Date.now()) {
  const difference = at - now;
  if (Math.abs(difference) < 1000) return "now";
  return difference > 0 ? `in ${duration(difference)}` : `${duration(difference)} ago`;
}

export function iso(at) {
  const then = new Date(at);
  return Number.isNaN(then.getTime()) ? "" : then.toISOString();
}

/** One word for one, another for all else. */
export function plural(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many ?? `${one}s`}`;
}
