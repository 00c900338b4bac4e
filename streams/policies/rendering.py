"""What a reader sees: the event's own title and body, or the templates of its type filled with its data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

TEXT_CHARACTERS_MAX = 4_096  # no provider takes a payload of more bytes than this

_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


class Text(NamedTuple):
    """A rendered notification."""

    title: str
    body: str


class RenderFailed(NamedTuple):
    """It can't be rendered; the reason names what is missing or wrong."""

    reason: str


@lru_cache(maxsize=1_024)
def _template(source: str) -> Template:
    template = _environment.from_string(source)
    template.globals = dict(template.globals)  # a ChainMap, copied at each rendering, costs four times the rest of it
    return template


def render(
    title: str | None, body: str | None, title_template: str, body_template: str, values: Mapping[str, object]
) -> Text | RenderFailed:
    """Return the text of one notification; what the event brings wins over the templates of its type."""
    texts: list[str] = []
    for name, given, source in (("title", title, title_template), ("body", body, body_template)):
        if given is None:
            try:
                given = _template(source).render(values)
            except TemplateError as error:
                return RenderFailed(f"{name}: {error.message or type(error).__name__}")
            except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
                return RenderFailed(f"{name}: {type(error).__name__}: {error}")
        if len(given) > TEXT_CHARACTERS_MAX:
            return RenderFailed(f"{name}: {len(given)} characters, at most {TEXT_CHARACTERS_MAX} fit into a push")
        texts.append(given)
    if not any(texts):
        return RenderFailed("neither title nor body: the event brings none and its type has no templates")
    return Text(*texts)
