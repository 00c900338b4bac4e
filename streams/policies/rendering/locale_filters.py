"""Filters that write dates, times, amounts, numbers, plurals and lists as the reader's language has them.

What they take is read by `reading`; what is no instant or no number ends the notification as one that cannot be
rendered. They write what Babel would: by compiled writers where there are any (`styles`), else Babel itself does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, time, tzinfo
from functools import lru_cache
from typing import Any, Final

from babel.dates import PATTERN_CHARS, format_date, format_datetime, format_time
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent, list_currencies
from jinja2 import TemplateRuntimeError, Undefined, pass_context

from streams.policies.rendering.bounded import in_text
from streams.policies.rendering.limits import spend, spend_on_text, weigh
from streams.policies.rendering.reading import decimal, instant, local, local_second, shown
from streams.policies.rendering.styles import WRITERS_CACHED, Style, amounts, numbers, percentages
from streams.policies.rendering.writers import Instant, InstantWriter, instant_writer

STEPS: Final = 40  # about 10 microseconds, what Babel takes where there is no writer
WRITTEN_CACHED: Final = 4_096  # of one filter: counts, prices and days are often the same for many readers
REMEMBERED_CHARACTERS_MAX: Final = 63  # what is longer is no number and no instant; it walks over one step's worth
FRACTION_DIGITS_MAX: Final = 12
PATTERN_CHARACTERS_MAX: Final = 100
WIDTHS: Final = ("short", "medium", "long", "full")
CATEGORIES: Final = ("zero", "one", "two", "few", "many", "other")

_CATEGORIES: Final = frozenset(CATEGORIES)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_QUOTED = re.compile(r"'[^']*'")
_SEPARATOR = re.compile(r"\s*,\s*")

Filter = Callable[..., str]


def _localized(write: Callable[..., str], zoned: bool = False, remembers: bool = True) -> Filter:
    """Return a filter of (style, value, …) as Jinja calls it, counted; `zoned`: of (style, zone, value, …).

    It counts the same whether the text is remembered or made, so that a template ends the same way everywhere.
    """
    remembered = lru_cache(maxsize=WRITTEN_CACHED, typed=True)(write) if remembers else write

    @pass_context
    def call(rendering: Any, value: Any, *args: Any, **kwargs: Any) -> str:
        write_: Callable[..., str] = remembered
        steps = 0
        if type(value) is str and len(value) <= REMEMBERED_CHARACTERS_MAX:
            steps = STEPS + 1
        else:
            if isinstance(value, Undefined):
                in_text(value)  # raises, and names it
            spend(rendering, STEPS + weigh(value))
            if type(value) is not int:
                write_ = write
        if zoned:
            text = write_(rendering.style, rendering.zone, value, *args, **kwargs)
        else:
            text = write_(rendering.style, value, *args, **kwargs)
        spend_on_text(rendering, text, steps)
        return text

    return call


@lru_cache(maxsize=WRITERS_CACHED)
def _writer(style: Style, kind: Instant, width: str) -> InstantWriter | None:
    return instant_writer(kind, _pattern(width), style.locale)


def _date(style: Style, zone: tzinfo, value: object, width: str = "medium") -> str:
    found, write = local_second(value, zone), _writer(style, "date", width)
    if write is not None:
        return write(found)
    day = found.date() if isinstance(found, datetime) else found
    return _written(lambda: format_date(day, _pattern(width), style.locale))


def _time(style: Style, zone: tzinfo, value: object, width: str = "short") -> str:
    write = _writer(style, "time", width)
    found = instant(value, zone) if write is None else local_second(value, zone)
    if not isinstance(found, datetime):
        raise TemplateRuntimeError(f"{shown(value)} is a day without a time")
    if write is not None:
        return write(found)
    return _written(lambda: format_time(local(found, zone), _pattern(width), zone, style.locale))


def _datetime(style: Style, zone: tzinfo, value: object, width: str = "medium") -> str:
    write = _writer(style, "datetime", width)
    found = instant(value, zone) if write is None else local_second(value, zone)
    if not isinstance(found, datetime):
        found = datetime.combine(found, time(), zone)
    if write is not None:
        return write(found)
    return _written(lambda: format_datetime(local(found, zone), _pattern(width), zone, style.locale))


def _pattern(width: str) -> Any:
    """One of CLDR's widths, or a pattern of its letters (`EEE d. MMM`)."""
    text = in_text(width)
    if len(text) > PATTERN_CHARACTERS_MAX:
        raise TemplateRuntimeError(f"a pattern has at most {PATTERN_CHARACTERS_MAX} characters")
    letters = {each for each in _QUOTED.sub("", text) if each.isalpha()}
    if text not in WIDTHS and not letters <= PATTERN_CHARS.keys():
        raise TemplateRuntimeError(f"{text!r} is none of {', '.join(WIDTHS)}, nor a pattern of CLDR")
    return text


def _written(write: Callable[[], str]) -> str:
    """Babel says in many ways that a pattern is none."""
    try:
        return write()
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise TemplateRuntimeError(f"CLDR has no such pattern: {type(error).__name__}: {error}") from None


def _by_babel(value: object, write: Callable[[], str]) -> str:
    """Babel rounds with 28 digits, and fails where a number has more."""
    try:
        return write()
    except ArithmeticError:
        raise TemplateRuntimeError(f"{shown(value)} is no number of 28 digits at most") from None


def _number(style: Style, value: object, digits: int | None = None) -> str:
    pattern = _with_digits(digits)
    write = numbers(style, pattern)
    text = write(str(value)) if write is not None and type(value) in (str, int) else None
    if text is not None:
        return text
    return _by_babel(value, lambda: format_decimal(decimal(value), pattern, style.locale))


def _percent(style: Style, value: object, digits: int = 0) -> str:
    pattern = _with_digits(digits)
    pattern = f"{pattern}%" if digits else None
    write = percentages(style, pattern)
    text = write(str(value)) if write is not None and type(value) in (str, int) else None
    if text is not None:
        return text
    return _by_babel(value, lambda: format_percent(decimal(value), pattern, style.locale))


def _with_digits(digits: int | None) -> str | None:
    if digits is None:
        return None
    if not (isinstance(digits, int) and 0 <= digits <= FRACTION_DIGITS_MAX):
        raise TemplateRuntimeError(f"{digits!r} digits; give 0 to {FRACTION_DIGITS_MAX}")
    return "#,##0" + ("." + "0" * digits if digits else "")


@lru_cache(maxsize=1)
def _currencies() -> frozenset[str]:
    return frozenset(list_currencies())


def _money(style: Style, value: object, currency: str) -> str:
    code = in_text(currency)
    if len(code) <= PATTERN_CHARACTERS_MAX:  # it is remembered
        code = code.strip().upper()
    if code not in _currencies():
        raise TemplateRuntimeError(f"there is no currency {code[:10]!r}: give ISO 4217, such as EUR")
    write = amounts(style, code)
    text = write(str(value)) if write is not None and type(value) in (str, int) else None
    if text is not None:
        return text
    return _by_babel(value, lambda: format_currency(decimal(value), code, locale=style.locale))


@lru_cache(maxsize=WRITTEN_CACHED)
def _category(style: Style, text: str) -> tuple[str, bool]:
    """The plural category of a number, and whether it is 0."""
    if _WHOLE.fullmatch(text):
        return style.category(int(text)), int(text) == 0
    count = decimal(text)
    return style.locale.plural_form(count), count == 0


def _plural(style: Style, value: object, **forms: str) -> str:
    """The form for a count; `zero` is also that of 0 in languages that have no form of their own for it."""
    if not forms.keys() <= _CATEGORIES or "other" not in forms:
        unknown = forms.keys() - _CATEGORIES
        wrong = f"there is no form {min(unknown)!r}" if unknown else "the form `other` must be given"
        raise TemplateRuntimeError(f"plural: {wrong}; give some of {', '.join(CATEGORIES)}")
    text = value if type(value) is str else str(decimal(value))
    category, is_zero = _category(style, text)
    if is_zero and "zero" in forms:
        category = "zero"
    return in_text(forms.get(category, forms["other"]))


def _enumerated(style: Style, value: object, style_name: str = "standard") -> str:
    """`Anna, Ben and Carl`, of a list or of a text with commas."""
    items = [each for each in _SEPARATOR.split(value.strip()) if each] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise TemplateRuntimeError(f"{shown(value)} is no list")
    return _written(lambda: format_list([in_text(item) for item in items], style_name, style.locale))  # type: ignore[arg-type] # Babel refuses other names


FILTERS: Final[dict[str, Filter]] = {
    "date": _localized(_date, zoned=True),
    "time": _localized(_time, zoned=True),
    "datetime": _localized(_datetime, zoned=True),
    "number": _localized(_number),
    "percent": _localized(_percent),
    "money": _localized(_money),
    "plural": _localized(_plural, remembers=False),
    "enumerated": _localized(_enumerated),
}
