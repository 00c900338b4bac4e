"""Values of events are texts: the instant or the number that one stands for, or a reason why it stands for none."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Final

from jinja2 import TemplateRuntimeError

from streams.policies.rendering.bounded import in_text, kind_of

DIGITS_MAX: Final = 40
SHOWN_CHARACTERS_MAX: Final = 40

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS = re.compile(r"-?\d{1,17}")
_MILLISECONDS_CHARACTERS_MAX: Final = 18
_USUAL_CHARACTERS: Final = range(1, 15)  # of milliseconds that are some year before 5138
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")


def instant(value: object, zone: tzinfo) -> datetime | date:
    """Read an instant, or a day. A time without an offset is one of the zone."""
    text = in_text(value).strip() if isinstance(value, str | int | float) else ""
    try:
        if len(text) <= _MILLISECONDS_CHARACTERS_MAX:
            if _DATE.fullmatch(text):
                return date.fromisoformat(text)
            if _MILLISECONDS.fullmatch(text):
                return _EPOCH + timedelta(milliseconds=int(text))
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise TemplateRuntimeError(
            f"{shown(value)} is no instant: give ISO 8601 or milliseconds since the epoch"
        ) from None
    return found.replace(tzinfo=zone) if found.tzinfo is None else found


def local_second(value: object, zone: tzinfo) -> datetime | date:
    """Read an instant, to the second, as the clocks of the zone show it; or a day."""
    if type(value) is str and len(value) in _USUAL_CHARACTERS and value.isdigit() and value.isascii():
        return datetime.fromtimestamp(int(value) // 1000, zone)
    found = instant(value, zone)
    return local(found, zone) if isinstance(found, datetime) else found


def local(moment: datetime, zone: tzinfo) -> datetime:
    """Return a moment as the clocks of the zone show it."""
    try:
        return moment.astimezone(zone)
    except OverflowError:
        raise TemplateRuntimeError(f"{moment.isoformat()} is an instant that no calendar has in this zone") from None


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
    raise TemplateRuntimeError(f"{shown(value)} is no number: give a decimal such as 1234.5")


def shown(value: object) -> str:
    """A value as a reason names it."""
    return repr(value[:SHOWN_CHARACTERS_MAX]) if isinstance(value, str) else kind_of(value)
