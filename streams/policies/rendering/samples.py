"""What can be said of a template without any event: values to try it with, and plural forms that a language lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from jinja2 import nodes

from streams.policies.rendering.compiling import Compiled, parsed
from streams.policies.rendering.locales import babel_locale

COUNTS_TRIED: Final = 201  # what a message counts; French has a form of its own for millions, which few ever need
_INSTANT: Final = "2026-12-24T18:00:00Z"
_SAMPLES: Final = {
    **dict.fromkeys(("date", "time", "datetime"), _INSTANT),
    **dict.fromkeys(("money", "number", "percent"), "1234.5"),
    **dict.fromkeys(("plural", "int", "float", "round", "abs"), "3"),
    "enumerated": "Anna, Ben, Carl",
}
_CURRENCY: Final = "EUR"


def sample_values(templates: Iterable[Compiled]) -> dict[str, str]:
    """Return a value for each name that these templates read: one that its filters can use, else the name itself."""
    found: dict[str, str] = {}
    for template in templates:
        for name in template.variables:
            found.setdefault(name, name)
        for filter_ in _filters(template):
            if isinstance(filter_.node, nodes.Name) and filter_.name in _SAMPLES:
                found[filter_.node.name] = _SAMPLES[filter_.name]
            if filter_.name == "money" and filter_.args and isinstance(filter_.args[0], nodes.Name):
                found[filter_.args[0].name] = _CURRENCY
    for name in ("data", "user_id", "type", "locale"):
        found.pop(name, None)
    return found


def missing_forms(template: Compiled, locale: str) -> list[str]:
    """Return the plural forms that a language has and a template does not give, where it uses any."""
    known = babel_locale(locale)
    if known is None:
        return []
    wanted = list(dict.fromkeys(known.plural_form(count) for count in range(COUNTS_TRIED)))
    found: list[str] = []
    for filter_ in _filters(template):
        if filter_.name == "plural":
            given = {each.key for each in filter_.kwargs}
            found += [form for form in wanted if form not in given and form not in found]
    return found


def _filters(template: Compiled) -> Iterator[nodes.Filter]:
    return parsed(template.source).find_all(nodes.Filter)
