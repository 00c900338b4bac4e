// Fields with their labels, hints and the place where a mistake is shown.

import { fill, freshId, h } from "./dom.js";

/** A labelled control. `kind`: text, area, select, check, number, or any type of <input>. */
export function field(label, name, { kind = "text", hint = null, options = [], value = "", whole = false, ...rest } = {}) {
  const id = freshId("field");
  const hintId = hint ? `${id}-hint` : null;
  const wrongId = `${id}-wrong`;
  const properties = { id, name, "aria-describedby": [hintId, wrongId].filter(Boolean).join(" "), ...rest };
  let control;
  if (kind === "area") control = h("textarea", { rows: 4, spellcheck: "false", ...properties, value });
  else if (kind === "select") {
    control = h("select", properties, options.map(([option, words]) => h("option", { value: option, selected: option === value }, words)));
  } else if (kind === "check") control = h("input", { type: "checkbox", ...properties, checked: Boolean(value) });
  else control = h("input", { type: kind, autocomplete: "off", spellcheck: "false", autocapitalize: "off", ...properties, value });
  const wrong = h("span", { class: "wrong", id: wrongId });
  const words = h("label", { for: id }, label);
  const below = [hint ? h("span", { class: "hint", id: hintId }, hint) : null, wrong];
  const box = kind === "check"
    ? h("div", { class: "field check" }, control, words, below)
    : h("div", { class: whole ? "field whole" : "field" }, words, control, below);
  return { box, control, wrong };
}

/** Pairs of names and values, as rows of two fields; another row appears as soon as the last one is used. */
export function pairs(legend, initial = {}) {
  const rows = h("div", { class: "pairs" });
  function row(name = "", value = "") {
    const nameField = h("input", { "aria-label": `${legend}: name`, placeholder: "name", value: name, autocomplete: "off", spellcheck: "false" });
    const valueField = h("input", { "aria-label": `${legend}: value`, placeholder: "value", value, autocomplete: "off", spellcheck: "false" });
    const line = h("div", { class: "pair" }, nameField, valueField, h("button", { type: "button", class: "quiet", "aria-label": `${legend}: remove this row`, onclick: () => { if (rows.children.length > 1) line.remove(); } }, "✕"));
    line.addEventListener("input", () => {
      if (line === rows.lastElementChild && (nameField.value || valueField.value)) rows.append(row());
    });
    return line;
  }
  function set(values) {
    fill(rows, Object.entries(values).map(([name, value]) => row(name, String(value))), row());
  }
  function values() {
    const found = {};
    for (const line of rows.children) {
      const [name, value] = line.querySelectorAll("input");
      if (name.value !== "") found[name.value] = value.value;
    }
    return found;
  }
  set(initial);
  return { box: h("fieldset", {}, h("legend", {}, legend), rows), values, set };
}

/** The values of a form that are given, texts trimmed of nothing: a blank may be meant. */
export function given(form) {
  return Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
}

/** Shows a problem beside the fields that it names, each a JSON pointer; what names none of them below the form. */
export function showProblem(place, problem, fields = {}) {
  for (const each of Object.values(fields)) {
    each.wrong.textContent = "";
    each.control.removeAttribute("aria-invalid");
  }
  fill(place);
  if (!problem) return;
  const faults = problem.fields.length ? problem.fields : faultsIn(problem.message);
  const others = [];
  let first = null;
  for (const { field: pointer, message } of faults) {
    const found = fields[pointer.replace(/^\//, "").split("/")[0]];
    if (found) {
      found.wrong.textContent = message;
      found.control.setAttribute("aria-invalid", "true");
      first ??= found.control;
    } else {
      others.push(`${pointer}: ${message}`);
    }
  }
  if (!faults.length) others.push(problem.message);
  if (others.length) fill(place, h("div", { class: "notice bad" }, others.map((each) => h("p", {}, each))));
  first?.focus();
}

/** What a sentence says is wrong with which field, where it begins with one. */
function faultsIn(message) {
  const [, field, words] = /^([a-z_]+)(?:\.\S+)?: (.*)$/s.exec(message) ?? [];
  return field ? [{ field, message: words }] : [];
}

/** Milliseconds since the epoch of what <input type=datetime-local> has, by this browser's zone; null: nothing. */
export function localInstant(text) {
  const at = text ? new Date(text).getTime() : NaN;
  return Number.isNaN(at) ? null : at;
}

/** The other way: what such a field takes. */
export function localText(at) {
  const date = new Date(at);
  return new Date(at - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
