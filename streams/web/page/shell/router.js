// Which view is shown: the part of the address behind `#`, such as #/users/alice/order_ready/o-1?tab=devices.
// Each part is quoted, so a user called a/b is one part.

/** The parts and the query of an address. */
export function parse(hash) {
  const [pathname, search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  let parts;
  try {
    parts = pathname.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    parts = [];
  }
  return { view: parts[0] ?? "", parts: parts.slice(1), query: new URLSearchParams(search) };
}

/** The address of a view. */
export function href(view, parts = [], query = {}) {
  const path = [view, ...parts].map(encodeURIComponent).join("/");
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return `#/${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

export function go(view, parts, query) {
  location.hash = href(view, parts, query);
}

/** The same view with another query, without a step in the history of the browser. */
export function note(view, parts, query) {
  history.replaceState(null, "", href(view, parts, query));
}

/** Calls `show` with the address now and whenever it changes. */
export function follow(show) {
  addEventListener("hashchange", () => show(parse(location.hash)));
  show(parse(location.hash));
}
