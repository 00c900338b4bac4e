"""The history in an SQLite file: nothing to install, for one machine.

The journal is a write-ahead log, so that readers do not wait. A power failure may take the last transactions with it,
but with them the offsets: they are read from Kafka again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Final, TypeVar

from streams.history.address import SqliteAddress
from streams.history.database import (
    Batch,
    Claim,
    DatabaseDownError,
    DatabaseRefusesError,
    FencedError,
    check_kept,
)
from streams.history.queries import Page, Search, page_of, search_query, story_of, story_query
from streams.history.rows import StatusRow, storable
from streams.history.schema import (
    EDITION,
    FORGET,
    NOTIFICATIONS,
    OLDEST,
    PRUNE_STATES,
    PRUNE_STATUSES,
    PRUNE_UP_TO,
    STATUSES,
    Kind,
    insert_statuses,
    statements,
    upsert_states,
)

BUSY_SECONDS_MAX: Final = 10.0  # that another writer of the same file is waited for
# What passes, or what a person mends without a new start: a lock, a full disk, a disk that fails.
_PASSING: Final = frozenset(
    (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL)
)
CACHE_KIBIBYTES: Final = 16 * 1024
_KINDS: Final[Mapping[Kind, str]] = {"int": "INTEGER", "long": "INTEGER", "text": "TEXT"}
_INSERT_STATUSES: Final = insert_statuses(f"VALUES ({', '.join('?' * len(STATUSES.columns))})")
_UPSERT_STATES: Final = upsert_states(f"VALUES ({', '.join('?' * len(NOTIFICATIONS.columns))})")
Done = TypeVar("Done")


class SqliteDatabase:
    """See Database."""

    def __init__(self, address: SqliteAddress, *, read_only: bool = False) -> None:
        self._address = address
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None

    def open(self, topic: str) -> None:
        """See Database."""

        def make(connection: sqlite3.Connection) -> None:
            for statement in statements(_KINDS, " WITHOUT ROWID"):
                connection.execute(statement)
            for name, value in (("edition", EDITION), ("topic", topic)):
                connection.execute("INSERT INTO ringonce_history VALUES (?, ?) ON CONFLICT DO NOTHING", (name, value))

        if not self._read_only:
            try:
                self._address.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DatabaseRefusesError(f"{self._address.path.parent}: {error.strerror}") from None
            self._transaction(make)
        elif not self._address.path.exists():
            raise DatabaseRefusesError(f"there is no history in {self._address.path}: `ringonce history` makes it")
        kept = dict(
            self._transaction(lambda connection: connection.execute("SELECT * FROM ringonce_history").fetchall())
        )
        check_kept(kept, topic)

    def claim(self, partitions: Sequence[int], owner: str) -> list[Claim]:
        """See Database."""

        def take(connection: sqlite3.Connection) -> list[Claim]:
            return [
                Claim(*connection.execute(_CLAIM, (partition, owner)).fetchall()[0]) for partition in sorted(partitions)
            ]

        return self._transaction(take)

    def resume(self, claims: Sequence[Claim]) -> list[Claim]:
        """See Database."""

        def look(connection: sqlite3.Connection) -> list[Claim]:
            query = "SELECT status_partition, epoch, next_offset FROM ringonce_partitions"
            kept = {row[0]: Claim(*row) for row in connection.execute(query)}
            now = [kept.get(each.partition) for each in claims]
            return [new for old, new in zip(claims, now, strict=True) if new is not None and new.epoch == old.epoch]

        return self._transaction(look)

    def write(self, batch: Batch) -> None:
        """See Database."""

        def put(connection: sqlite3.Connection) -> None:
            for claim in batch.claims:
                _hold(connection, claim)
            connection.executemany(_INSERT_STATUSES, batch.statuses)
            connection.executemany(_UPSERT_STATES, batch.states)

        self._transaction(put)

    def prune(self, claim: Claim, before_ms: int, rows_max: int) -> int | None:
        """See Database."""

        def remove(connection: sqlite3.Connection) -> int | None:
            _hold(connection, claim._replace(next_offset=None))
            partition = claim.partition
            (last,) = connection.execute(PRUNE_UP_TO.format("?", "?", "?"), (partition, rows_max, before_ms)).fetchone()
            if last is not None:
                connection.execute(PRUNE_STATES.format("?1", "?2"), (partition, last))
                connection.execute(PRUNE_STATUSES.format("?1", "?2"), (partition, last))
            oldest = connection.execute(OLDEST.format("?"), (partition,)).fetchone()
            return None if oldest is None else int(oldest[0])

        return self._transaction(remove)

    def search(self, search: Search) -> Page:
        """See Database."""
        query = search_query(search)
        return page_of(search, self._transaction(lambda each: each.execute(query.text, query.values).fetchall()))

    def story(self, user_id: str, type: str, notification_id: str) -> list[StatusRow]:
        """See Database."""
        query = story_query(user_id, type, notification_id)
        return story_of(self._transaction(lambda each: each.execute(query.text, query.values).fetchall()))

    def forget(self, user_id: str) -> int:
        """See Database."""

        def remove(connection: sqlite3.Connection) -> int:
            removed = [connection.execute(each.format("?"), (storable(user_id),)).rowcount for each in FORGET]
            return sum(removed[:-1])

        return self._transaction(remove)

    def close(self) -> None:
        """See Database."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _transaction(self, work: Callable[[sqlite3.Connection], Done]) -> Done:
        try:
            connection = self._connected()
            connection.execute("BEGIN" if self._read_only else "BEGIN IMMEDIATE")
            try:
                done = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return done
        except sqlite3.Error as error:
            self.close()
            said = f"{self._address.path}: {error}"
            if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _PASSING:  # the low byte of an extended code
                raise DatabaseDownError(said) from None
            raise DatabaseRefusesError(said) from None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            mode = "ro" if self._read_only else "rwc"
            connection = sqlite3.connect(
                f"{self._address.path.absolute().as_uri()}?mode={mode}",
                timeout=BUSY_SECONDS_MAX,
                isolation_level=None,
                check_same_thread=False,
                uri=True,
            )
            self._connection = connection
            with closing(connection.cursor()) as cursor:
                if not self._read_only:
                    cursor.execute("PRAGMA journal_mode = WAL")
                cursor.execute("PRAGMA synchronous = NORMAL")
                cursor.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
        return self._connection


def _hold(connection: sqlite3.Connection, claim: Claim) -> None:
    values = (claim.next_offset, claim.partition, claim.epoch)
    if connection.execute(_MOVE, values).rowcount != 1:
        raise FencedError(f"partition {claim.partition} has another owner")


_MOVE: Final = (
    "UPDATE ringonce_partitions SET next_offset = COALESCE(?, next_offset) WHERE status_partition = ? AND epoch = ?"
)
_CLAIM: Final = (
    "INSERT INTO ringonce_partitions (status_partition, epoch, owner) VALUES (?, 1, ?) "
    "ON CONFLICT (status_partition) DO UPDATE SET epoch = ringonce_partitions.epoch + 1, owner = excluded.owner "
    "RETURNING status_partition, epoch, next_offset"
)
