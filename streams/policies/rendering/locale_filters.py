"""Filters that write dates, times, amounts, numbers, plurals and lists as the reader's language has them.

The values of an event are texts: an instant is ISO 8601 or milliseconds since the epoch, a number is a decimal with a
point. What is neither is said in the reason, and ends the notification as one that cannot be rendered.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, NamedTuple

from babel import Locale
from babel.dates import PATTERN_CHARS, format_date, format_datetime, format_time
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent, list_currencies
from jinja2 import TemplateRuntimeError, Undefined, pass_context

from streams.policies.rendering.bounded import in_text, kind_of
from streams.policies.rendering.limits import spend, weigh

STEPS: Final = 40  # about 10 microseconds in Babel
WRITTEN_CACHED: Final = 4_096  # counts and prices are often the same for many readers
DIGITS_MAX: Final = 40
FRACTION_DIGITS_MAX: Final = 12
PATTERN_CHARACTERS_MAX: Final = 100
WIDTHS: Final = ("short", "medium", "long", "full")
CATEGORIES: Final = ("zero", "one", "two", "few", "many", "other")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS = re.compile(r"-?\d{1,17}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_QUOTED = re.compile(r"'[^']*'")
_SEPARATOR = re.compile(r"\s*,\s*")


class Style(NamedTuple):
    """How the reader of a text writes: his locale, and the zone that he lives by."""

    locale: Locale
    zone: tzinfo


Filter = Callable[..., str]


def _localized(write: Callable[..., str]) -> Filter:
    """Return a filter of (style, value, …) as Jinja calls it, counted."""

    @pass_context
    def call(rendering: Any, value: Any, *args: Any, **kwargs: Any) -> str:
        if isinstance(value, Undefined):
            in_text(value)  # raises, and names it
        spend(rendering, STEPS + weigh(value))
        style = Style(rendering.locale, rendering.zone)
        if type(value) is str:
            text = _remembered(write, style, value, args, tuple(kwargs.items()))
        else:
            text = write(style, value, *args, **kwargs)
        spend(rendering, weigh(text))
        return text

    return call


@lru_cache(maxsize=WRITTEN_CACHED)
def _remembered(
    write: Callable[..., str], style: Style, value: str, args: tuple[Any, ...], named: tuple[tuple[str, Any], ...]
) -> str:
    return write(style, value, *args, **dict(named))


def instant(value: object, zone: tzinfo) -> datetime | date:
    """Read an instant, or a day. A time without an offset is one of the zone."""
    text = in_text(value).strip() if isinstance(value, str | int | float) else ""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if _MILLISECONDS.fullmatch(text):
            return _EPOCH + timedelta(milliseconds=int(text))
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise TemplateRuntimeError(
            f"{_shown(value)} is no instant: give ISO 8601 or milliseconds since the epoch"
        ) from None
    return found.replace(tzinfo=zone) if found.tzinfo is None else found


def decimal(value: object) -> Decimal:
    """Read a number."""
    text = in_text(value).strip() if isinstance(value, str | int | float | Decimal) and value is not True else ""
    try:
        if _NUMBER.fullmatch(text):
            found = Decimal(text)
            if abs(found.adjusted()) <= DIGITS_MAX and len(found.as_tuple().digits) <= DIGITS_MAX:
                return found
    except InvalidOperation:
        pass
    raise TemplateRuntimeError(f"{_shown(value)} is no number: give a decimal such as 1234.5")


def _shown(value: object) -> str:
    return repr(value[:40]) if isinstance(value, str) else kind_of(value)


def _date(style: Style, value: object, width: str = "medium") -> str:
    found = instant(value, style.zone)
    day = _at(found, style.zone).date() if isinstance(found, datetime) else found
    return _written(lambda: format_date(day, _pattern(width), style.locale))


def _time(style: Style, value: object, width: str = "short") -> str:
    found = instant(value, style.zone)
    if not isinstance(found, datetime):
        raise TemplateRuntimeError(f"{_shown(value)} is a day without a time")
    return _written(lambda: format_time(_at(found, style.zone), _pattern(width), style.zone, style.locale))


def _datetime(style: Style, value: object, width: str = "medium") -> str:
    found = instant(value, style.zone)
    if not isinstance(found, datetime):
        found = datetime.combine(found, time(), style.zone)
    return _written(lambda: format_datetime(_at(found, style.zone), _pattern(width), style.zone, style.locale))


def _at(moment: datetime, zone: tzinfo) -> datetime:
    try:
        return moment.astimezone(zone)
    except OverflowError:
        raise TemplateRuntimeError(f"{moment.isoformat()} is an instant that no calendar has in this zone") from None


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


def _number(style: Style, value: object, digits: int | None = None) -> str:
    return format_decimal(decimal(value), _with_digits(digits), style.locale)


def _percent(style: Style, value: object, digits: int = 0) -> str:
    pattern = _with_digits(digits) or "#,##0"
    return format_percent(decimal(value), f"{pattern}%" if digits else None, style.locale)


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
    code = in_text(currency).strip().upper()
    if code not in _currencies():
        raise TemplateRuntimeError(f"there is no currency {code[:10]!r}: give ISO 4217, such as EUR")
    return format_currency(decimal(value), code, locale=style.locale)


def _plural(style: Style, value: object, **forms: str) -> str:
    """The form for a count; `zero` is also that of 0 in languages that have no form of their own for it."""
    unknown = set(forms) - set(CATEGORIES)
    if unknown or "other" not in forms:
        wrong = f"there is no form {min(unknown)!r}" if unknown else "the form `other` must be given"
        raise TemplateRuntimeError(f"plural: {wrong}; give some of {', '.join(CATEGORIES)}")
    count = decimal(value)
    category = "zero" if count == 0 and "zero" in forms else style.locale.plural_form(count)
    return in_text(forms.get(category, forms["other"]))


def _enumerated(style: Style, value: object, style_name: str = "standard") -> str:
    """`Anna, Ben and Carl`, of a list or of a text with commas."""
    items = [each for each in _SEPARATOR.split(value.strip()) if each] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise TemplateRuntimeError(f"{_shown(value)} is no list")
    return _written(lambda: format_list([in_text(item) for item in items], style_name, style.locale))  # type: ignore[arg-type] # Babel refuses other names


FILTERS: Final[dict[str, Filter]] = {
    "date": _localized(_date),
    "time": _localized(_time),
    "datetime": _localized(_datetime),
    "number": _localized(_number),
    "percent": _localized(_percent),
    "money": _localized(_money),
    "plural": _localized(_plural),
    "enumerated": _localized(_enumerated),
}
