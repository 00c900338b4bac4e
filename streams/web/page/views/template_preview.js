// A push as a reader sees it, on nobody's phone in particular. Links and images are shown as text: nothing is fetched.

import { post } from "../ask/api.js";
import { isAbort } from "../ask/problems.js";
import { fill, h } from "../show/dom.js";
import { id } from "../show/chips.js";
import { mark } from "../show/icons.js";
import { facts } from "../show/table.js";

function phone(text, provider) {
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

/** Asks for what a reader would see and shows it, or what is wrong with it; only the latest that was asked for. */
export function previewer(place, signal) {
  let latest = 0;
  return async (asked, provider = "any provider") => {
    latest += 1;
    const mine = latest;
    try {
      const { body } = await post("templates/render", asked, { signal });
      if (mine === latest) fill(place, phone(body, provider));
    } catch (error) {
      if (!isAbort(error) && mine === latest) fill(place, mistake(error.message));
    }
  };
}

/** A mistake with its place: the first words say which field of which variant, so they stand out. */
function mistake(message) {
  return h("div", { class: "notice bad", role: "alert" }, h("ul", { class: "plain" }, message.split("; ").map((line) => {
    const [where, ...rest] = line.split(": ");
    return h("li", {}, rest.length ? [h("b", {}, h("bdi", {}, where)), h("br", {}), h("bdi", {}, rest.join(": "))] : h("bdi", {}, line));
  })));
}
