"""One notification rendered: the event's own texts, or what its templates make of its data and of the profile."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from types import MappingProxyType
from typing import Final, NamedTuple

from babel import Locale
from jinja2 import TemplateError as JinjaError

from streams.policies.rendering.compiling import EVAL_CONTEXT, SANDBOX
from streams.policies.rendering.limits import (
    TEXT_CHARACTERS_MAX,
    URL_CHARACTERS_MAX,
    VALUE_CHARACTERS_MAX,
    VALUE_ITEMS_MAX,
    LimitError,
)
from streams.policies.rendering.sandbox import Rendering
from streams.policies.rendering.styles import style_of
from streams.policies.rendering.urls import wrong_image, wrong_link
from streams.policies.rendering.variants import Chosen, Field

_new: Final = tuple.__new__  # Text(...) costs 0.2 µs more.
REASON_CHARACTERS_MAX: Final = 400  # of what is said about one value
OWN_NAMES: Final = frozenset(("data", "user_id", "type", "locale"))
ENGLISH: Final = style_of(Locale("en"))  # until the first field says its own
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Values(NamedTuple):
    """What a template may use, and who reads it. What the event brings wins, then what it is, then the profile.

    `locale`: the reader's, None: not known.
    """

    user_id: str
    type: str
    data: Mapping[str, str]
    locale: str | None = None
    profile: Mapping[str, object] = MappingProxyType({})
    zone: tzinfo = UTC


class Text(NamedTuple):
    """A rendered notification. `data`: what the template adds to that of the event."""

    title: str
    body: str
    image: str | None = None
    link: str | None = None
    data: Mapping[str, str] = _NOTHING


class RenderFailed(NamedTuple):
    """It can't be rendered; the reason names the template, and what is missing or wrong."""

    reason: str


def render(chosen: Chosen, title: str | None, body: str | None, values: Values) -> Text | RenderFailed:
    """Return the text of one notification; title and body that the event brings win over the templates."""
    found: dict[str, str] = {}
    for name, given in (("title", title), ("body", body)):
        if given is not None:
            if len(given) > TEXT_CHARACTERS_MAX:
                reason = f"{len(given):,} characters, at most {TEXT_CHARACTERS_MAX:,} fit into a push"
                return RenderFailed(f"{name} of the event: {reason}")
            found[name] = given
    data: dict[str, str] = {}
    field: Field | None = None
    try:
        _check_size(values.data)
        rendering: Rendering | None = None  # what a text of the event's names alone does not need
        for field in chosen.fields:
            if field.name not in found:
                limit = TEXT_CHARACTERS_MAX if field.name in ("title", "body") else URL_CHARACTERS_MAX
                text = field.template.plain_text(values.data, limit)
                if text is None:
                    rendering = rendering or _rendering(chosen, values)
                    rendering.style = field.style
                    text = field.template.text(rendering, limit)
                found[field.name] = text
        for field in chosen.data:
            if field.name not in values.data:
                text = field.template.plain_text(values.data)
                if text is None:
                    rendering = rendering or _rendering(chosen, values)
                    rendering.style = field.style
                    text = field.template.text(rendering)
                data[field.name] = text
    except Exception as error:  # whatever a template does with whatever values ends in a reason
        return RenderFailed(_reason(values.type, chosen, field, error))
    wrong = _wrong(chosen, found, values.type)
    if wrong is not None:
        return RenderFailed(wrong)
    image, link = found.get("image") or None, found.get("link") or None
    return _new(Text, (found.get("title", ""), found.get("body", ""), image, link, data))


def missing_names(chosen: Chosen, title: str | None, body: str | None, values: Values) -> list[str]:
    """Return what the templates of a notification name and nothing of it has, in alphabetical order."""
    given = {name for name, text in (("title", title), ("body", body)) if text is not None}
    fields = [field for field in (*chosen.fields, *chosen.data) if field.name not in given]
    named = frozenset[str]().union(*(field.template.variables for field in fields))
    return sorted(named.difference(values.data, values.profile, OWN_NAMES))


def _check_size(data: Mapping[str, str]) -> None:
    if len(data) > VALUE_ITEMS_MAX or sum(map(len, data.values())) > VALUE_CHARACTERS_MAX:
        raise LimitError(
            f"the event's data is too large for a template, and for a push: at most {VALUE_CHARACTERS_MAX:,} characters"
        )


def _rendering(chosen: Chosen, values: Values) -> Rendering:
    data = values.data
    own = {"data": data, "user_id": values.user_id, "type": values.type, "locale": values.locale or chosen.locale}
    return Rendering(SANDBOX, EVAL_CONTEXT, data, values.profile, own, values.zone, ENGLISH)


def _reason(kind: str, chosen: Chosen, field: Field | None, error: Exception) -> str:
    said = error.message or "" if isinstance(error, JinjaError) else f"{type(error).__name__}: {error}"
    if isinstance(error, RecursionError):
        said = "a macro that calls itself too often"
    line = None if field is None else field.template.line_of(error)
    where = ", ".join([kind, chosen.label, *([field.place] if field else []), *([f"line {line}"] if line else [])])
    return f"{where}: {said[:REASON_CHARACTERS_MAX] or type(error).__name__}"


def _wrong(chosen: Chosen, found: Mapping[str, str], kind: str) -> str | None:
    """What no single template can see: addresses that are none, and that there is nothing to show."""
    for name, check in (("image", wrong_image), ("link", wrong_link)):
        url = found.get(name)
        wrong = check(url) if url else None
        if wrong is not None:
            place = next(field.place for field in chosen.fields if field.name == name)
            return f"{kind}, {chosen.label}, {place}: {wrong}"
    if not (found.get("title") or found.get("body") or chosen.background):
        return f"neither title nor body: the event brings none, and the {chosen.label} of type {kind} gives none"
    return None
