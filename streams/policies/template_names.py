"""Which values the texts of a type name, to tell people which ones are missing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from jinja2 import TemplateSyntaxError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

_environment = ImmutableSandboxedEnvironment()


def missing_names(sources: Iterable[str], values: Mapping[str, object]) -> list[str]:
    """Return what these templates name and these values do not have, in alphabetical order."""
    return sorted({name for source in sources for name in _names(source)} - values.keys())


@lru_cache(maxsize=1_024)
def _names(source: str) -> frozenset[str]:
    try:
        named = find_undeclared_variables(_environment.parse(source))
    except TemplateSyntaxError:
        return frozenset()  # rendering it tells what is wrong
    return frozenset(named - _environment.globals.keys())
