"""How one locale writes: its writers, compiled when they are first needed."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from babel import Locale
from babel.numbers import parse_pattern

from streams.policies.rendering.locales import TAGS_CACHED
from streams.policies.rendering.writers import (
    NumberWriter,
    count_categories,
    number_writer,
)

WRITERS_CACHED: Final = 4_096  # of all locales, about 1 kB each


class Style:
    """See the module. There is one for each locale, so that it can be told by its identity."""

    def __init__(self, locale: Locale) -> None:
        self.locale: Final = locale
        self.category: Final = count_categories(locale.plural_form)


@lru_cache(maxsize=TAGS_CACHED)
def style_of(locale: Locale) -> Style:
    """Return the style of a locale."""
    return Style(locale)


@lru_cache(maxsize=WRITERS_CACHED)
def numbers(style: Style, pattern: str | None) -> NumberWriter | None:
    """Return what writes numbers by a pattern, None: that of the locale."""
    return number_writer(parse_pattern(pattern or style.locale.decimal_formats[None]), style.locale)


@lru_cache(maxsize=WRITERS_CACHED)
def percentages(style: Style, pattern: str | None) -> NumberWriter | None:
    """Return what writes percentages by a pattern, None: that of the locale."""
    return number_writer(parse_pattern(pattern or style.locale.percent_formats[None]), style.locale)


@lru_cache(maxsize=WRITERS_CACHED)
def amounts(style: Style, currency: str) -> NumberWriter | None:
    """Return what writes amounts of a currency, by its code."""
    return number_writer(style.locale.currency_formats["standard"], style.locale, currency)
