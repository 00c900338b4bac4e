"""Dates and times by one pattern of CLDR, as `babel.dates.DateTimeFormat` writes them.

A pattern becomes a format of C and what fills it: `d. MMMM y` is `%d. %s %d`, of day, name of the month, and year.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple

from babel import Locale
from babel.dates import (
    get_date_format,
    get_datetime_format,
    get_day_names,
    get_era_names,
    get_month_names,
    get_period_names,
    get_time_format,
    parse_pattern,
    tokenize_pattern,
)

Instant = Literal["date", "time", "datetime"]
InstantWriter = Callable[[Any], str]
"""Of a moment in the reader's zone; one of days also takes a day."""
WIDTHS: Final = ("short", "medium", "long", "full")

_Getter = Callable[[datetime], Any]
_NAME_WIDTHS: Final[dict[int, Any]] = {3: "abbreviated", 4: "wide", 5: "narrow", 6: "short"}
_PLACES: Final = re.compile(r"(\{[01]\})")
_OF_DAYS: Final = frozenset("GyMLdEc")
_OF_TIMES: Final = frozenset("ahHKkms")
_LETTERS: Final[dict[Instant, frozenset[str]]] = {
    "date": _OF_DAYS,
    "time": _OF_TIMES,
    "datetime": _OF_DAYS | _OF_TIMES,
}


class _Part(NamedTuple):
    """A piece of a format, and what fills it."""

    form: str
    getters: tuple[_Getter, ...] = ()


_DAY, _MONTH, _YEAR = attrgetter("day"), attrgetter("month"), attrgetter("year")
_HOUR, _MINUTE, _SECOND = attrgetter("hour"), attrgetter("minute"), attrgetter("second")
_NUMBERS: Final[dict[str, _Getter]] = {
    "d": _DAY,
    "M": _MONTH,
    "L": _MONTH,
    "y": _YEAR,
    "H": _HOUR,
    "h": lambda at: at.hour % 12 or 12,
    "K": lambda at: at.hour % 12,
    "k": lambda at: at.hour or 24,
    "m": _MINUTE,
    "s": _SECOND,
}


def instant_writer(kind: Instant, pattern: str, locale: Locale) -> InstantWriter | None:
    """Return what writes moments of the reader's zone by a pattern or a width; None: Babel is to be asked."""
    try:
        parts = _parts_of(kind, pattern, locale)
    except (AttributeError, LookupError, TypeError, ValueError):
        return None  # Babel will say what is wrong with it
    if parts is None:
        return None
    return _filled("".join(part.form for part in parts), [get for part in parts for get in part.getters])


def _filled(form: str, getters: list[_Getter]) -> InstantWriter:
    """One function, without a loop for as many as most patterns have."""
    if not getters:
        text = form % ()
        return lambda _: text
    if len(getters) == 2:
        first, second = getters
        return lambda at: form % (first(at), second(at))
    if len(getters) == 3:
        first, second, third = getters
        return lambda at: form % (first(at), second(at), third(at))
    return lambda at: form % tuple([get(at) for get in getters])


def _parts_of(kind: Instant, pattern: str, locale: Locale) -> list[_Part] | None:
    if pattern not in WIDTHS:
        return _compiled(pattern, _LETTERS[kind], locale)
    width: Any = pattern
    day, time = get_date_format(width, locale).pattern, get_time_format(width, locale).pattern
    if kind == "datetime":
        return _both(str(get_datetime_format(width, locale)), day, time, locale)
    return _compiled(day if kind == "date" else time, _LETTERS[kind], locale)


def _both(around: str, day: str, time: str, locale: Locale) -> list[_Part] | None:
    """A day and a time in one text, `{1}, {0}`."""
    pieces = _PLACES.split(around.replace("'", ""))
    found = {"{1}": _compiled(day, _OF_DAYS, locale), "{0}": _compiled(time, _OF_TIMES, locale)}
    if sorted(pieces[1::2]) != sorted(found):
        return None
    parts: list[_Part] = []
    for piece in pieces:
        compiled = found.get(piece, [_literal(piece)])
        if compiled is None:
            return None
        parts += compiled
    return parts


def _compiled(pattern: str, letters: Iterable[str], locale: Locale) -> list[_Part] | None:
    parse_pattern(pattern)  # raises for a field that is too long
    parts: list[_Part] = []
    for kind, token in tokenize_pattern(pattern):
        if kind == "chars":
            parts.append(_literal(str(token)))
            continue
        letter, count = str(token[0]), int(token[1])
        part = _field(letter, count, locale) if letter in letters else None
        if part is None:
            return None
        parts.append(part)
    return parts


def _literal(text: str) -> _Part:
    return _Part(text.replace("%", "%%"))


def _field(letter: str, count: int, locale: Locale) -> _Part | None:
    """What stands for a letter so many times; None: it is left to Babel."""
    width: Any = _NAME_WIDTHS.get(max(3, count))
    if letter == "G":
        return _literal(get_era_names(width, locale)[1])  # no year before Christ is an instant
    if letter in "ML" and count > 2:
        months = get_month_names(width, "format" if letter == "M" else "stand-alone", locale)
        return _Part("%s", (_named({month: months[month] for month in range(1, 13)}, _MONTH),))
    if letter == "E" or (letter == "c" and count > 2):
        days = get_day_names(width, "format" if letter == "E" else "stand-alone", locale)
        return _weekday([days[day] for day in range(7)])
    if letter == "a":
        return _period(width, locale)
    if letter == "y" and count == 2:
        return _Part("%02d", (lambda at: at.year % 100,))
    number = _NUMBERS.get(letter)
    return None if number is None else _Part(f"%0{count}d", (number,))


def _named(names: dict[int, str], number: _Getter) -> _Getter:
    return lambda at: names[number(at)]


def _weekday(names: list[str]) -> _Part:
    return _Part("%s", (lambda at: names[at.weekday()],))


def _period(width: Any, locale: Locale) -> _Part | None:
    """Before or after noon, each in the first of these widths that names it."""
    found: list[str] = []
    for period in ("am", "pm"):
        widths = [get_period_names(each, "format", locale) for each in (width, "wide", "narrow", "abbreviated")]
        name = next((names[period] for names in widths if period in names), None)
        if name is None:
            return None
        found.append(name)
    before, after = found
    return _Part("%s", (lambda at: after if at.hour >= 12 else before,))
