"""What both databases do in the same words: everything but making the tables, putting rows in, and removing a user."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from schemas.records import FINAL_STATES
from streams.history.database import Claim, FencedError, Outdated, Part
from streams.history.erasing import ENDED_FOR_GOOD_MS, Event, Kept, digest_of, without_erased
from streams.history.queries import Page, Query, Search, page_of, search_query, story_of, story_query
from streams.history.rows import StatusRow
from streams.history.schema import (
    ANY_ERASED,
    CLAIM,
    OLDEST,
    PRUNE_MARKS,
    PRUNE_STATES,
    PRUNE_STATUSES,
    PRUNE_UP_TO,
    RESUME,
)

Connection = TypeVar("Connection")
Done = TypeVar("Done")


class SqlDatabase(ABC, Generic[Connection]):
    """See Database. A subclass knows its driver."""

    move: str  # schema.MOVE in the driver's words

    @abstractmethod
    def _transaction(self, work: Callable[[Connection], Done]) -> Done:
        """Do it, all or nothing."""

    @abstractmethod
    def _run(self, connection: Connection, statement: str, values: Sequence[Any] = ()) -> Any:
        """Run a statement with `?` for its values; return the cursor."""

    @abstractmethod
    def _erased_among(self, connection: Connection, events: Sequence[Event]) -> set[Event]:
        """Return those of the events of which nothing more is to be written."""

    @abstractmethod
    def _said_before(self, connection: Connection, oldest_ms: int, digests: Sequence[str]) -> list[tuple[str, int]]:
        """Return up to when what was said of these users is passed over, where that is not over."""

    def claim(self, parts: Sequence[Part], owner: str) -> list[Claim]:
        """See Database."""
        return self._transaction(
            lambda connection: [
                Claim(part, *self._run(connection, CLAIM, (*part, owner)).fetchall()[0]) for part in sorted(parts)
            ]
        )

    def resume(self, claims: Sequence[Claim]) -> list[Claim]:
        """See Database."""
        rows = self._transaction(lambda connection: self._run(connection, RESUME).fetchall())
        kept = {(stream, number): (epoch, at) for stream, number, epoch, at in rows}
        now = [(claim, kept.get(claim.part)) for claim in claims]
        return [claim._replace(next_offset=row[1]) for claim, row in now if row is not None and row[0] == claim.epoch]

    def prune(self, claim: Claim, outdated: Outdated) -> int | None:
        """See Database."""
        partition = claim.part.number

        def remove(connection: Connection) -> int | None:
            self._hold(connection, claim._replace(next_offset=None))
            for statement in PRUNE_MARKS:
                self._run(connection, statement, (outdated.marks_before_ms,))
            asked = (partition, outdated.rows_max, outdated.said_before_ms)
            (last,) = self._run(connection, PRUNE_UP_TO, asked).fetchall()[0]
            if last is not None:
                self._run(connection, PRUNE_STATES, (partition, last, last))
                self._run(connection, PRUNE_STATUSES, (partition, last))
            oldest = self._run(connection, OLDEST, (partition,)).fetchone()
            return None if oldest is None else int(oldest[0])

        return self._transaction(remove)

    def search(self, search: Search) -> Page:
        """See Database."""
        return page_of(search, self._read(search_query(search)))

    def story(self, user_id: str, type: str, notification_id: str) -> list[StatusRow]:
        """See Database."""
        return story_of(self._read(story_query(user_id, type, notification_id)))

    def _read(self, query: Query) -> list[Any]:
        rows: list[Any] = self._transaction(lambda each: self._run(each, query.text, query.values).fetchall())
        return rows

    def _hold(self, connection: Connection, claim: Claim) -> None:
        if self._run(connection, self.move, (claim.next_offset, *claim.part, claim.epoch)).rowcount != 1:
            raise FencedError(f"{claim.part.stream}-{claim.part.number} has another owner")

    def _without_erased(self, connection: Connection, rows: list[StatusRow]) -> Kept:
        """Return what is to be written, and the events that are passed over from now on."""
        oldest_ms = min(row.at_ms for row in rows)
        users, events = self._run(connection, ANY_ERASED, (oldest_ms,)).fetchall()[0]
        if not users and not events:
            return Kept(rows, set())
        erased: set[Event] = set()
        if events:
            asked = sorted({(row.origin_partition, row.origin_offset) for row in rows})
            erased = self._erased_among(connection, asked)
        said_before: dict[str, int] = {}
        if users:
            digests = {digest_of(user): user for user in {row.user_id for row in rows}}
            found = self._said_before(connection, oldest_ms, list(digests))
            said_before = {digests[digest]: before_ms for digest, before_ms in found}
        return without_erased(rows, said_before, erased)


def that_go_on(events: Iterable[Sequence[Any]], before_ms: int) -> list[tuple[Any, ...]]:
    """Return the places of those events of which something may still be said, with when they were erased."""
    return [
        (*event, before_ms)
        for *event, state, at_ms in events
        if state not in FINAL_STATES or at_ms > before_ms - ENDED_FOR_GOOD_MS
    ]
