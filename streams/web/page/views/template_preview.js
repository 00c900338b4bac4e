// A push as a reader sees it, on nobody's phone in particular. Links and images are shown as text: nothing is fetched.

import { h } from "../show/dom.js";
import { id } from "../show/chips.js";
import { mark } from "../show/icons.js";
import { facts } from "../show/table.js";

export function phone(text, provider) {
  const { title, body, image, link, data = {}, version, source } = text;
  return [
    h("div", { class: "phone", role: "img", "aria-label": `The push: ${title ?? ""}. ${body ?? ""}` },
      h("div", { class: "push" },
        h("div", { class: "push-head" }, mark(), h("span", {}, "your app"), h("span", { class: "far" }, "now")),
        title ? h("p", { class: "push-title" }, h("bdi", {}, title)) : null,
        h("p", { class: "push-body" }, h("bdi", {}, body ?? "")),
        image ? h("p", { class: "push-image" }, "image: ", h("bdi", {}, image)) : null)),
    facts([
      ["For", provider],
      ["Opens", link ? id(link) : null],
      ["Background", text.background ? "shows nothing" : null],
      ["Locale", text.locale ? id(text.locale) : null],
      ["From", source],
      ["Version", version ? id(version) : null],
      ...Object.entries(data).map(([name, value]) => [h("bdi", {}, `data.${name}`), h("bdi", {}, String(value))]),
    ]),
  ];
}
