"""A local time as the contracts write it: what a clock on a wall shows, without saying where the wall is."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from schemas.poison import PoisonError

_LOCAL_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?\Z", re.ASCII)
YEARS: Final = range(1970, 9999)  # the year 9999 is left out, so that no zone carries a time past Python's last one


def read_local_time(text: str) -> datetime:
    """The time of `2026-12-24T18:00`, seconds if it has any, without a zone. Raises PoisonError INVALID_FIELD."""
    if _LOCAL_TIME.match(text):
        try:
            local = datetime.fromisoformat(text)
        except ValueError as error:
            raise PoisonError("INVALID_FIELD", f"send_at_local: {text} is no time: {error}") from None
        if local.year in YEARS:
            return local
        raise PoisonError("INVALID_FIELD", f"send_at_local: {text} is not between {YEARS[0]} and {YEARS[-1]}")
    raise PoisonError("INVALID_FIELD", f"send_at_local: {text[:100]!r} is not of the form 2026-12-24T18:00")
