"""The history on a server that speaks PostgreSQL's protocol: PostgreSQL, CockroachDB, YugabyteDB.

Rows go as one array for each column, in binary, which `unnest` makes rows of: three times as fast as a list of VALUES.
A transaction that the server ends because of another one is tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from streams.history.address import PostgresAddress
from streams.history.database import (
    STREAMS,
    Batch,
    Claim,
    DatabaseDownError,
    DatabaseRefusesError,
    NoHistoryError,
    Source,
    check_kept,
    kept_by,
)
from streams.history.erasing import Erasure, Event
from streams.history.postgres_connection import Connection, PostgresConnection, run
from streams.history.rows import states_of
from streams.history.schema import (
    ERASED_EVENTS,
    EVENTS_OF_USER,
    EVERY_PART,
    MOVE,
    NOTE_ERASURE,
    NOTIFICATIONS,
    STATUSES,
    STRAYS_OF_USER,
    Kind,
    insert_new,
    kind_of,
    statements,
    upsert_states,
)
from streams.history.sql import Done, SqlDatabase, that_go_on

MADE_TRIES_MAX: Final = 5
MADE_AGAIN_SECONDS: Final = 0.2
_KINDS: Final[Mapping[Kind, str]] = {"int": "INTEGER", "long": "BIGINT", "text": "TEXT"}
_ARRAYS: Final[Mapping[Kind, str]] = {"int": "int4[]", "long": "int8[]", "text": "text[]"}


def _unnested(columns: Sequence[str]) -> str:
    return f"unnest({', '.join(f'%b::{_ARRAYS[kind_of(name)]}' for name in columns)})"


_INSERT_STATUSES: Final = insert_new(STATUSES, f"SELECT * FROM {_unnested(STATUSES.columns)}")
_INSERT_ERASED: Final = insert_new(ERASED_EVENTS, f"SELECT * FROM {_unnested(ERASED_EVENTS.columns)}")
_UPSERT_STATES: Final = upsert_states(f"SELECT * FROM {_unnested(NOTIFICATIONS.columns)}")
_EVENTS: Final = f"{_unnested(ERASED_EVENTS.key)} AS asked (origin_partition, origin_offset)"
_ERASED_AMONG: Final = (
    "SELECT erased.origin_partition, erased.origin_offset FROM ringonce_erased_events AS erased "
    f"JOIN {_EVENTS} USING (origin_partition, origin_offset)"
)
_SAID_BEFORE: Final = (
    "SELECT user_digest, said_before_ms FROM ringonce_erased_users "
    "WHERE said_before_ms >= ? AND user_digest = ANY(%b::text[])"
)
_LOCK_PARTS: Final = "SELECT number FROM ringonce_parts WHERE stream = 'statuses' ORDER BY number FOR UPDATE"
_TOUCH_PARTS: Final = "UPDATE ringonce_parts SET next_offset = next_offset WHERE stream = 'statuses'"
_OF_EVENTS: Final = f"WHERE (origin_partition, origin_offset) IN (SELECT * FROM {_EVENTS})"
_STRAYS: Final = (
    "DELETE FROM ringonce_statuses WHERE (status_partition, status_offset) IN "
    f"(SELECT * FROM {_unnested(STATUSES.key)})"
)


class PostgresDatabase(SqlDatabase[Connection]):
    """See Database."""

    move = MOVE.replace("COALESCE(?", "COALESCE(?::int8")

    def __init__(self, address: PostgresAddress, *, read_only: bool = False, seconds_max: float = 120.0) -> None:
        self._address = address
        self._read_only = read_only
        self._link = PostgresConnection(address, read_only, seconds_max)

    def open(self, source: Source) -> str:
        """See Database."""
        kept = self._link.transaction(_kept)
        if not kept and not self._read_only:  # empty where whoever made the tables did not come to the end
            kept = self._made(source)
        if not kept:
            raise NoHistoryError(f"there is no history in {self._address}: `ringonce history` makes it")
        if not self._read_only:
            self._link.transaction(partial(_make_parts, partitions=source.partitions))
        return check_kept(kept, source)

    def _made(self, source: Source) -> dict[str, str] | None:
        """Make the tables. Others may do so at the same time, which servers do not take well."""
        for tried in range(1, MADE_TRIES_MAX + 1):
            try:
                for statement in statements(_KINDS):
                    self._link.transaction(partial(run, statement=statement))
                self._link.transaction(partial(_name, source=source))
                break
            except (DatabaseDownError, DatabaseRefusesError):
                if tried == MADE_TRIES_MAX:
                    raise
                time.sleep(MADE_AGAIN_SECONDS * tried)
        return self._link.transaction(_kept)

    def write(self, batch: Batch) -> int:
        """See Database."""

        def put(connection: Connection) -> int:
            for claim in sorted(batch.claims):
                self._hold(connection, claim)
            if not batch.statuses:
                return 0
            kept, found = self._without_erased(connection, batch.statuses)
            now_ms = max(row.at_ms for row in batch.statuses)
            for statement, rows in (
                (_INSERT_STATUSES, kept),
                (_UPSERT_STATES, states_of(kept)),
                (_INSERT_ERASED, [(*event, now_ms) for event in sorted(found)]),
            ):
                if rows:
                    run(connection, statement, _columns(rows))
            return len(batch.statuses) - len(kept)

        return self._link.transaction(put)

    def erase(self, erasure: Erasure, claim: Claim | None) -> int:
        """See Database."""
        user, before_ms = erasure.stored_user, erasure.said_before_ms

        def remove(connection: Connection) -> int:
            if claim is not None:
                self._hold(connection, claim._replace(next_offset=None))
            # Whoever writes statuses moves a row of these first: he has ended, or sees the mark.
            run(connection, _LOCK_PARTS)
            run(connection, _TOUCH_PARTS)
            run(connection, NOTE_ERASURE, (erasure.digest, before_ms))
            events = run(connection, EVENTS_OF_USER, (user, user, before_ms)).fetchall()
            still = that_go_on(events, before_ms)
            if still:
                run(connection, _INSERT_ERASED, _columns(still))
            strays = run(connection, STRAYS_OF_USER, (user, before_ms)).fetchall()
            if strays:
                run(connection, _STRAYS, _columns(strays))
            if events:
                places = _columns([row[:2] for row in events])
                run(connection, f"DELETE FROM ringonce_statuses {_OF_EVENTS}", places)
                run(connection, f"DELETE FROM ringonce_notifications {_OF_EVENTS}", places)
            return len(events) + len(strays)

        return self._link.transaction(remove)

    def interrupt(self) -> None:
        """See Database."""
        self._link.interrupt()

    def close(self) -> None:
        """See Database."""
        self._link.close()

    def _transaction(self, work: Callable[[Connection], Done]) -> Done:
        return self._link.transaction(work)

    def _run(self, connection: Connection, statement: str, values: Sequence[Any] = ()) -> Any:
        return run(connection, statement, values)

    def _erased_among(self, connection: Connection, events: Sequence[Event]) -> set[Event]:
        return {(row[0], row[1]) for row in run(connection, _ERASED_AMONG, _columns(events)).fetchall()}

    def _said_before(self, connection: Connection, oldest_ms: int, digests: Sequence[str]) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = run(connection, _SAID_BEFORE, (oldest_ms, [*digests])).fetchall()
        return found


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _kept(connection: Connection) -> dict[str, str] | None:
    """Return what the database says that it holds, None: it was never used."""
    if run(connection, "SELECT to_regclass('ringonce_history')").fetchall() == [(None,)]:
        return None
    return dict(run(connection, "SELECT name, value FROM ringonce_history").fetchall())


def _name(connection: Connection, source: Source) -> None:
    for pair in sorted(kept_by(source).items()):
        run(connection, "INSERT INTO ringonce_history VALUES (?, ?) ON CONFLICT (name) DO NOTHING", pair)


def _make_parts(connection: Connection, partitions: int) -> None:
    # So that an erasure finds every row that a writer of statuses may move, also of what nobody has claimed yet.
    for number in range(partitions):
        run(connection, EVERY_PART, (STREAMS[0], number))
