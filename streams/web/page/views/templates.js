// Templates: which types have one, how it is written, and what a reader would see.

import { get, path } from "../ask/api.js";
import { fill, h } from "../show/dom.js";
import { chip, code, id, notice } from "../show/chips.js";
import { field, pairs } from "../show/form.js";
import { section } from "../show/section.js";
import { table } from "../show/table.js";
import { href } from "../shell/router.js";
import { previewer } from "./template_preview.js";

const PROVIDERS = [["", "any"], ["apns", "APNs"], ["fcm", "FCM"], ["webpush", "Web Push"], ["webhook", "webhook"]];
const SAMPLES = { order: "1234", count: "3", sender: "Bob", text: "See you at eight", symbol: "ACME", price: "12.50", limit: "12.00" };
const GIVEN = new Set(["data", "user_id", "type", "locale", "name", "time_zone"]); // what is there without the event's data

export function show(view) {
  return view.parts.length ? showOne(view, view.parts[0]) : showAll(view);
}

function showAll({ body, signal }) {
  const shown = table("Types that have a template, or stand in the types file", [
    { name: "Type", heading: true, cell: (each) => h("a", { href: href("templates", [each.type]), class: "id" }, each.type) },
    { name: "From", cell: (each) => each.source ?? "–" },
    { name: "Version", cell: (each) => (each.version ? id(each.version) : "–") },
    { name: "Variants", wide: true, cell: (each) => variants(each) },
    { name: "State", cell: (each) => (each.refused ? [chip("refused", "bad"), " ", h("bdi", {}, each.refused)] : chip("counts", "good")) },
  ], { empty: "No type has a template, and the types file names none: the defaults speak for all." });
  fill(body, section("Templates", () => get("templates", { signal }), ({ templates }) => {
    shown.show(templates);
    return shown.element;
  }).element, tryAnother());
}

function tryAnother() {
  const type = field("Another type", "type", { required: true, hint: "One that stands nowhere gets the defaults, where the types file allows it." });
  return h("section", { class: "card narrow" }, h("form", { class: "inline", onsubmit: (event) => { event.preventDefault(); location.hash = href("templates", [type.control.value]); } }, type.box, h("button", { type: "submit" }, "Preview")));
}

function variants(each) {
  const found = each.variants.map((variant) => [variant.locale, variant.provider].filter(Boolean).join(" ") || "any");
  return found.length ? [...new Set(found)].join(", ") : "of the types file";
}

async function showOne({ body, heading, signal }, type) {
  heading.before(h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("ol", {}, h("li", {}, h("a", { href: href("templates") }, "Templates")), h("li", {}, h("span", { "aria-current": "page" }, id(type))))));
  fill(heading, "Template ", id(type));
  const place = h("div", { class: "preview-place" });
  const locale = field("Locale", "locale", { hint: "Such as de-AT; empty: the default." });
  const provider = field("Provider", "provider", { kind: "select", options: PROVIDERS });
  const zone = field("Time zone", "time_zone", { value: Intl.DateTimeFormat().resolvedOptions().timeZone });
  const user = field("User", "user_id", { value: "alice" });
  const data = pairs("Data");
  const profile = pairs("Profile", { name: "Alice" });
  const form = h("form", { class: "grid", "aria-label": "Values for the preview", onsubmit: (event) => { event.preventDefault(); preview(); } },
    locale.box, provider.box, zone.box, user.box, data.box, profile.box, h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Preview")));
  const ask = previewer(place, signal);
  let timer = null;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(preview, 350);
  });
  signal.addEventListener("abort", () => clearTimeout(timer));

  async function preview() {
    const asked = { type, user_id: user.control.value || "user", data: data.values(), profile: profile.values() };
    if (locale.control.value) asked.locale = locale.control.value;
    if (provider.control.value) asked.provider = provider.control.value;
    if (zone.control.value) asked.time_zone = zone.control.value;
    await ask(asked, provider.control.value || "any provider");
  }

  fill(
    body,
    h("div", { class: "preview" },
      h("section", { class: "card", "aria-labelledby": "values-title" }, h("h2", { id: "values-title" }, "Example values"), form),
      h("div", { class: "aside" }, h("section", { class: "card", "aria-labelledby": "preview-title", "aria-live": "polite" }, h("h2", { id: "preview-title" }, "What a reader sees"), place))),
    section("As it is written", () => get(path("templates", type), { signal }), (document) => {
      data.set(sampleOf(document));
      preview();
      return written(document);
    }).element,
  );
}

/** A value for each name that a template uses. */
export function sampleOf(document) {
  return Object.fromEntries((document.uses ?? []).filter((name) => !GIVEN.has(name)).map((name) => [name, SAMPLES[name] ?? name]));
}

function written(document) {
  if (document.refused && document.variants.length === 0) return notice(document.refused, "bad");
  const names = [["types file", document.types_file], ...document.variants.map(({ locale, provider, ...said }) => [[locale ?? "any locale", provider ?? "any provider"].join(", "), said])];
  return [
    document.refused ? notice(`A newer one was refused: ${document.refused}`, "bad") : null,
    h("p", { class: "hint" }, `From ${document.source}`, document.version ? [", version ", id(document.version)] : null, document.uses?.length ? [". It uses ", document.uses.map((name, index) => [index ? ", " : "", id(name)]), "."] : "."),
    names.filter(([, said]) => said && Object.keys(said).length).map(([name, said]) => [h("h3", {}, name), h("dl", { class: "sources" }, sources(said).map(([part, text]) => h("div", {}, h("dt", {}, part), h("dd", {}, code(text)))))]),
  ];
}

function sources(said) {
  return Object.entries(said).flatMap(([name, value]) => (typeof value === "object" && value !== null ? Object.entries(value).map(([part, text]) => [`${name}.${part}`, String(text)]) : [[name, String(value)]]));
}
