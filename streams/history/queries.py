"""What is asked of the history: a search with pages, and the story of one notification, as SQL with `?` for values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, get_args

from schemas.records import State
from streams.history.rows import StateRow, StatusRow, original, storable
from streams.history.schema import NOTIFICATIONS, PAGE_ORDER, STATUSES

LIMIT_MAX: Final = 1_000
STORY_MAX: Final = 10_000  # statuses of one id; who reuses an id that often has another question
STATES: Final[frozenset[str]] = frozenset(get_args(State))
_PLACE: Final = re.compile(r"(-?\d{1,18}):(\d{1,9}):(\d{1,18})\Z", re.ASCII)


class Place(NamedTuple):
    """Where a page ended: the next one goes on after it."""

    began_at_ms: int
    origin_partition: int
    origin_offset: int

    def __str__(self) -> str:
        return ":".join(map(str, self))


class Search(NamedTuple):
    """What is looked for; None: anything. `since` and `until` are about when an event began, the latter not included.

    A page has `limit` rows, newest first, after `after`.
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


def search_query(search: Search) -> Query:
    """Return the query of a page; it asks for one row more, which tells whether there is another page."""
    conditions: list[str] = []
    values: list[Any] = []
    for name in ("user_id", "type", "state", "notification_id"):
        wanted = getattr(search, name)
        if wanted is not None:
            conditions.append(f"{name} = ?")
            values.append(storable(wanted))
    if search.since is not None:
        conditions.append("began_at_ms >= ?")
        values.append(search.since)
    if search.until is not None:
        conditions.append("began_at_ms < ?")
        values.append(search.until)
    if search.after is not None:
        conditions.append(f"({', '.join(PAGE_ORDER)}) < (?, ?, ?)")
        values += search.after
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = ", ".join(f"{name} DESC" for name in PAGE_ORDER)
    text = f"SELECT {', '.join(NOTIFICATIONS.columns)} FROM {NOTIFICATIONS.name}{where} ORDER BY {order} LIMIT ?"
    return Query(text, (*values, search.limit + 1))


def page_of(search: Search, rows: Sequence[Sequence[Any]]) -> Page:
    """Return the page that these rows are."""
    found = [_restored(StateRow(*row)) for row in rows[: search.limit]]
    if len(rows) <= search.limit:
        return Page(found, None)
    last = found[-1]
    return Page(found, Place(last.began_at_ms, last.origin_partition, last.origin_offset))


def story_query(user_id: str, type: str, notification_id: str) -> Query:
    """Return the query for all statuses of an id, of every event that had it, in the order in which they were said."""
    columns = ", ".join(f"s.{name}" for name in STATUSES.columns)
    text = (
        f"SELECT {columns} FROM {STATUSES.name} AS s JOIN {NOTIFICATIONS.name} AS n "
        "ON s.origin_partition = n.origin_partition AND s.origin_offset = n.origin_offset "
        "WHERE n.notification_id = ? AND n.user_id = ? AND n.type = ? "
        "ORDER BY s.status_partition, s.status_offset LIMIT ?"
    )
    return Query(text, (storable(notification_id), storable(user_id), type, STORY_MAX))


def story_of(rows: Sequence[Sequence[Any]]) -> list[StatusRow]:
    """Return the statuses that these rows are."""
    return [_restored_status(StatusRow(*row)) for row in rows]


def _restored(row: StateRow) -> StateRow:
    by = row.by_notification_id
    return row._replace(
        notification_id=original(row.notification_id),
        user_id=original(row.user_id),
        reason=original(row.reason),
        by_notification_id=None if by is None else original(by),
    )


def _restored_status(row: StatusRow) -> StatusRow:
    by, device_id = row.by_notification_id, row.device_id
    return row._replace(
        notification_id=original(row.notification_id),
        user_id=original(row.user_id),
        reason=original(row.reason),
        by_notification_id=None if by is None else original(by),
        device_id=None if device_id is None else original(device_id),
    )
