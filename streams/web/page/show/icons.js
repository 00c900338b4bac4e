// Icons of one stroke on a grid of 20. They decorate: the words beside them say it.

import { s } from "./dom.js";

const PATHS = {
  overview: "M3 16V9M8 16V4M13 16v-6M18 16V7",
  users: "M7.5 9.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM2 17c0-3 2.4-5 5.5-5s5.5 2 5.5 5M13.5 9a2.6 2.6 0 1 0-1-5M15 12.2c2 .6 3.2 2.3 3.2 4.8",
  schedule: "M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15ZM10 6v4.2l2.8 1.8",
  broadcasts: "M10 11a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3ZM10 11v7M6.2 13a5 5 0 0 1 0-7M13.8 13a5 5 0 0 0 0-7M3.6 15.4a8.6 8.6 0 0 1 0-11.8M16.4 15.4a8.6 8.6 0 0 0 0-11.8",
  letters: "M2.5 5h15v10.5h-15ZM2.5 5.5 10 11l7.5-5.5",
  templates: "M4 2.5h8.5L16 6v11.5H4ZM12 2.5V6.5h4M7 10h6M7 13.5h4",
  compose: "M17.5 2.5 9 11M17.5 2.5 12 17.5 9 11 2.5 8Z",
  history: "M3 10a7 7 0 1 0 2.2-5.1L3 7M3 3v4h4M10 6.5V10l2.5 1.5",
  log: "M4 2.5h12v15H4ZM7 6.5h6M7 10h6M7 13.5h3.5",
  search: "M8.5 14a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM12.6 12.6l4.9 4.9",
  menu: "M3 5.5h14M3 10h14M3 14.5h14",
  auto: "M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15ZM10 2.5v15",
  light: "M10 13.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6 16 16M4 16l1.4-1.4M14.6 5.4 16 4",
  dark: "M16.5 12.2A7 7 0 0 1 7.8 3.5a7 7 0 1 0 8.7 8.7Z",
  keys: "M2.5 5.5h15v9h-15ZM5.5 8.5h.01M8.5 8.5h.01M11.5 8.5h.01M14.5 8.5h.01M6 11.5h8",
  leave: "M8 3H4v14h4M12.5 6.5 16 10l-3.5 3.5M16 10H8",
};

export function icon(name) {
  return s("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, s("path", { d: PATHS[name] }));
}

/** The ring with its one dot. */
export function mark() {
  return s(
    "svg",
    { class: "mark", viewBox: "0 0 32 32", "aria-hidden": "true" },
    s("circle", { class: "ring", cx: 16, cy: 16, r: 11 }),
    s("circle", { class: "dot", cx: 16, cy: 16, r: 4 }),
  );
}
