"""What is asked of the history: a search with pages, and the story of one notification, as SQL with `?` for values.

A search looks at no more than LOOKED_AT_MAX events. It begins with the condition of which an index knows fewest, and
looks at the rest event by event; where it has looked at so many, the page ends there, short or empty as it may be, and
says where the next one goes on. So no search takes long, however little it finds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, get_args

from schemas.records import State
from streams.history.rows import StateRow, StatusRow, restored, subject_of
from streams.history.schema import EVENT, LEADS, NOTIFICATIONS, PAGE_ORDER, STATUSES
from streams.history.text import storable

LIMIT_MAX: Final = 1_000
LOOKED_AT_MAX: Final = 5_000
STORY_MAX: Final = 1_000  # statuses of one id
EVENTS_MAX: Final = 100  # with the same id, the newest ones; who reuses an id more often has another question
STATES: Final[frozenset[str]] = frozenset(get_args(State)) - {"ATTEMPTED"}  # which is said of one device
# Most events end in one of these; then the type says more.
_COMMON_STATES: Final = frozenset(("ACCEPTED", "SUPPRESSED"))
LEADS_BY: Final = ("user_id", "type", "state", "notification_id")
_COLUMNS: Final = ", ".join(NOTIFICATIONS.columns)
_PLACE: Final = re.compile(r"(-?\d{1,18}):(\d{1,9}):(\d{1,18})\Z", re.ASCII)


class Place(NamedTuple):
    """Where a page ended: the next one goes on after it."""

    began_at_ms: int
    origin_partition: int
    origin_offset: int

    def __str__(self) -> str:
        return ":".join(map(str, self))


LOWEST: Final = Place(-1, -1, -1)
HIGHEST: Final = Place(2**62, 2**31 - 1, 2**62)


class Search(NamedTuple):
    """What is looked for; None: anything. `since` and `until` are about when an event began, the latter not included.

    A page has at most `limit` rows, newest first, after `after`.
    """

    user_id: str | None = None
    type: str | None = None
    state: str | None = None
    notification_id: str | None = None
    since: int | None = None
    until: int | None = None
    limit: int = 100
    after: Place | None = None


class Page(NamedTuple):
    """What was found. `after`: where the next page goes on, None: there is none."""

    found: list[StateRow]
    after: Place | None


class Query(NamedTuple):
    """A statement and its values."""

    text: str
    values: tuple[Any, ...]


def read_place(text: str) -> Place:
    """Read what a page gave as its end. Raises ValueError with a sentence."""
    found = _PLACE.match(text)
    if found is None:
        raise ValueError(f"must be what the page before ended with, is {text[:100]!r}")
    return Place(*map(int, found.groups()))


def lead_of(search: Search) -> str:
    """Return which of LEADS a search begins with."""
    if search.user_id is not None:
        return "user" if search.notification_id is None else "one"
    if search.notification_id is not None:
        return "id"
    if search.state is not None and (search.type is None or search.state not in _COMMON_STATES):
        return "state"
    return "time" if search.type is None else "type"


def search_query(search: Search) -> Query:
    """Return the query of a page: one row more than it has, which tells whether there is another page."""
    lead = LEADS[lead_of(search)]
    rest = [name for name in LEADS_BY if name not in lead and getattr(search, name) is not None]
    highest = HIGHEST if search.until is None else _at(search.until)
    if search.after is not None:
        highest = min(highest, search.after)
    lowest = LOWEST if search.since is None else _at(search.since)
    stretch = _stretch(lead, _wanted(search), lowest, highest)
    if not rest:
        return Query(stretch.text, (*stretch.values, search.limit + 1))
    conditions = " AND ".join(f"{name} = ?" for name in rest)
    text = (
        f"SELECT {_COLUMNS}, looked_at, matches FROM (SELECT {_COLUMNS}, "
        f"ROW_NUMBER() OVER (ORDER BY {_newest_first(lead)}) AS looked_at, ({conditions}) AS matches "
        f"FROM ({stretch.text}) AS front) AS numbered WHERE matches OR looked_at = ? "
        f"ORDER BY {_newest_first(lead)} LIMIT ?"
    )
    wanted = [storable(getattr(search, name)) for name in rest]
    return Query(text, (*wanted, *stretch.values, LOOKED_AT_MAX, LOOKED_AT_MAX, search.limit + 2))


def _at(instant: int) -> Place:
    """Return the place before all that began at an instant, or at the end of time that is nearer."""
    return Place(max(LOWEST.began_at_ms, min(instant, HIGHEST.began_at_ms)), -1, -1)


def _wanted(search: Search) -> list[str]:
    """Return the text that a search begins with, if any."""
    lead = lead_of(search)
    if lead == "one":
        return [subject_of(storable(search.user_id or ""), storable(search.notification_id or ""))]
    return [storable(getattr(search, name)) for name in LEADS[lead]]


def _stretch(lead: Sequence[str], wanted: Sequence[str], lowest: Place, highest: Place) -> Query:
    """Return the query for a stretch of one index, newest first, up to a limit that is its last value.

    Rows of values are compared, also where the first of them are equal at both ends, and ordered by: so there is no
    other index that serves, and PostgreSQL cannot find one that it takes for cheaper and reads to its end.
    """
    columns = (*lead, *PAGE_ORDER)
    row, places = ", ".join(columns), ", ".join("?" * len(columns))
    text = (
        f"SELECT {_COLUMNS} FROM {NOTIFICATIONS.name} WHERE ({row}) >= ({places}) AND ({row}) < ({places}) "
        f"ORDER BY {_newest_first(lead)} LIMIT ?"
    )
    return Query(text, (*wanted, *lowest, *wanted, *highest))


def _newest_first(lead: Sequence[str]) -> str:
    return ", ".join(f"{name} DESC" for name in (*lead, *PAGE_ORDER))


def page_of(search: Search, rows: Sequence[Sequence[Any]]) -> Page:
    """Return the page that these rows are."""
    width = len(NOTIFICATIONS.columns)
    # Behind the columns: the how many-th that was looked at, and whether it is one of those that are looked for.
    found = [StateRow(*row[:width]) for row in rows if len(row) == width or row[width + 1]]
    if len(found) > search.limit:
        found = found[: search.limit]
        return Page([restored(row) for row in found], _place_of(found[-1]))
    last = rows[-1] if rows else None
    looked_at_all = last is None or len(last) == width or last[width] < LOOKED_AT_MAX
    after = None if looked_at_all or last is None else _place_of(StateRow(*last[:width]))
    return Page([restored(row) for row in found], after)


def _place_of(row: StateRow) -> Place:
    return Place(row.began_at_ms, row.origin_partition, row.origin_offset)


def story_query(user_id: str, type: str, notification_id: str) -> Query:
    """Return the query for the statuses of an id, of every event that had it, in the order in which they were said."""
    columns = ", ".join(f"said.{name}" for name in STATUSES.columns)
    search = Search(user_id, type, None, notification_id)
    stretch = _stretch(LEADS["one"], _wanted(search), LOWEST, HIGHEST)
    events = (
        f"SELECT {', '.join(EVENT)} FROM ({stretch.text}) AS like_it "
        "WHERE user_id = ? AND type = ? AND notification_id = ? LIMIT ?"
    )
    text = (
        f"SELECT {columns} FROM ({events}) AS events JOIN {STATUSES.name} AS said "
        "ON said.origin_partition = events.origin_partition AND said.origin_offset = events.origin_offset "
        "ORDER BY said.status_partition, said.status_offset LIMIT ?"
    )
    names = (storable(user_id), storable(type), storable(notification_id))
    return Query(text, (*stretch.values, LOOKED_AT_MAX, *names, EVENTS_MAX, STORY_MAX))


def story_of(rows: Sequence[Sequence[Any]]) -> list[StatusRow]:
    """Return the statuses that these rows are."""
    return [restored(StatusRow(*row)) for row in rows]
