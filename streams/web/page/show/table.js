// Tables with headers. On a narrow screen each row becomes a card whose cells name their column; the roles are written
// out because a table that is displayed as blocks is no table to a screen reader any more.

import { fill, h } from "./dom.js";

/**
 * columns: [{ name, cell(row), wide, number, heading }]; `heading` makes a row's name of the cell.
 * Returns { element, show(rows) }; `empty` is said where there are none.
 */
export function table(caption, columns, { empty = "There is nothing here.", actions = null } = {}) {
  const body = h("tbody", { role: "rowgroup" });
  const heads = columns.map((column) => h("th", { scope: "col", role: "columnheader", class: classes(column) }, column.name));
  if (actions) heads.push(h("th", { scope: "col", role: "columnheader", class: "actions" }, h("span", { class: "unseen" }, "Actions")));
  const none = h("p", { class: "empty", hidden: true }, empty);
  const whole = h(
    "table",
    { role: "table" },
    h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
    body,
  );
  function show(rows) {
    fill(body, rows.map((row) => line(row)));
    none.hidden = rows.length > 0;
    whole.hidden = rows.length === 0;
  }
  function line(row) {
    const cells = columns.map((column) => {
      const content = column.cell(row);
      if (column.heading) return h("th", { scope: "row", role: "rowheader", class: classes(column), "data-column": column.name }, content);
      return h("td", { role: "cell", class: classes(column), "data-column": column.name }, content);
    });
    if (actions) cells.push(h("td", { role: "cell", class: "actions" }, actions(row)));
    return h("tr", { role: "row" }, cells);
  }
  return { element: h("div", { class: "table" }, whole, none), show };
}

function classes(column) {
  return [column.number ? "number" : null, column.wide ? "wide" : null].filter(Boolean).join(" ") || null;
}

/** Pairs of words and values; nothing for those without a value. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return h("dl", { class: "facts" }, shown.map(([words, value]) => h("div", {}, h("dt", {}, words), h("dd", {}, value))));
}
