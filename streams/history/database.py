"""What the history needs of a database. One object serves one writer, from one thread at a time.

A partition of `statuses` is written by whoever claimed it last. A claim raises the epoch in the partition's row, and
each write is a transaction that first moves `next_offset` in that row under its own epoch: so an owner that was paused
and lost the partition meanwhile finds another epoch there, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from streams.history.address import PostgresAddress, SqliteAddress, read_address
from streams.history.queries import Page, Search
from streams.history.rows import StateRow, StatusRow
from streams.history.schema import EDITION
from streams.settings import Settings

HISTORY_FILE = "history.db"


class DatabaseDownError(Exception):
    """It cannot be used now; what was under way is not in it, and may be tried again. The message holds no secret."""


class DatabaseRefusesError(Exception):
    """It is there, and waiting does not mend what is wrong. The message holds no secret."""


class FencedError(Exception):
    """Somebody else has claimed one of these partitions since; nothing was written. `resume` tells which."""


class Claim(NamedTuple):
    """The right to write a partition. `next_offset`: where to go on reading, None: nothing was read yet."""

    partition: int
    epoch: int
    next_offset: int | None


class Batch(NamedTuple):
    """What is written in one transaction; `claims` have the offsets that will be the next ones."""

    claims: list[Claim]
    statuses: list[StatusRow]
    states: list[StateRow]


class Database(Protocol):
    """Every method may raise DatabaseDownError, after which the object is used on as before: it connects again."""

    def open(self, topic: str) -> None:
        """Make the tables where they are missing. Raises DatabaseRefusesError, also for a history of another topic."""

    def claim(self, partitions: Sequence[int], owner: str) -> list[Claim]:
        """Claim partitions; whoever had them before can write them no more."""

    def resume(self, claims: Sequence[Claim]) -> list[Claim]:
        """Return those claims that still hold, with the offsets that are in the database now."""

    def write(self, batch: Batch) -> None:
        """Write all of it or nothing. Raises FencedError."""

    def prune(self, claim: Claim, before_ms: int, rows_max: int) -> int | None:
        """Remove at most so many of the oldest statuses of a partition that are older than this, and what ended
        with them. Returns when the oldest that is left was said, None: there is none. Raises FencedError."""

    def search(self, search: Search) -> Page:
        """Return a page of events."""

    def story(self, user_id: str, type: str, notification_id: str) -> list[StatusRow]:
        """Return all statuses of an id."""

    def forget(self, user_id: str) -> int:
        """Remove everything of a user; return how many statuses that were."""

    def close(self) -> None:
        """Let go of the connection."""


def check_kept(kept: Mapping[str, str], topic: str) -> None:
    """Raise DatabaseRefusesError where the tables are of another edition, or hold the history of another topic."""
    if kept.get("edition") != EDITION:
        raise DatabaseRefusesError(
            f"its tables are of edition {kept.get('edition')}, this release writes edition {EDITION}: use another "
            "database, or the release that made it"
        )
    if kept.get("topic") != topic:
        raise DatabaseRefusesError(
            f"it holds the history of {kept.get('topic')}, not of {topic}: each installation needs a database, "
            "or a schema, of its own"
        )


def history_address(settings: Settings) -> SqliteAddress | PostgresAddress:
    """Return where the history of an installation is."""
    if settings.history_url is None:
        return SqliteAddress(settings.data_dir / HISTORY_FILE)
    return read_address(settings.history_url.get_secret_value())


def open_database(address: SqliteAddress | PostgresAddress, *, read_only: bool = False) -> Database:
    """Return the database at an address. Connects to nothing yet."""
    if isinstance(address, SqliteAddress):
        from streams.history.sqlite import SqliteDatabase

        return SqliteDatabase(address, read_only=read_only)
    from streams.history.postgres import PostgresDatabase

    return PostgresDatabase(address, read_only=read_only)
