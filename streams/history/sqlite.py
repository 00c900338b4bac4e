"""The history in an SQLite file: nothing to install, for one machine.

The journal is a write-ahead log, so that readers do not wait. A power failure may take the last transactions with it,
but with them the offsets: they are read from Kafka again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, Final

from streams.history.address import SqliteAddress
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
from streams.history.rows import states_of
from streams.history.schema import (
    ERASED_EVENTS,
    EVENTS_OF_USER,
    EVERY_PART,
    MOVE,
    NOTE_ERASURE,
    STATUSES,
    STRAYS_OF_USER,
    Kind,
    insert_new,
    statements,
    upsert_states,
)
from streams.history.sql import Done, SqlDatabase, that_go_on

BUSY_SECONDS_MAX: Final = 10.0  # that another writer of the same file is waited for
# What passes, or what a person mends without a new start: a lock, a full disk, a disk that fails.
_PASSING: Final = frozenset(
    (
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
        *(sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT),
    )
)
CACHE_KIBIBYTES: Final = 16 * 1024
ROWS_AT_ONCE: Final = 200  # each statement lets go of Python's lock once, and waits for it once
_KINDS: Final[Mapping[Kind, str]] = {"int": "INTEGER", "long": "INTEGER", "text": "TEXT"}
_ERASED_AMONG: Final = (
    "SELECT origin_partition, origin_offset FROM ringonce_erased_events WHERE (origin_partition, origin_offset) IN "
    "(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))"
)
_SAID_BEFORE: Final = (
    "SELECT user_digest, said_before_ms FROM ringonce_erased_users "
    "WHERE said_before_ms >= ? AND user_digest IN (SELECT value FROM json_each(?))"
)
_OF_EVENT: Final = "WHERE origin_partition = ? AND origin_offset = ?"


class SqliteDatabase(SqlDatabase[sqlite3.Connection]):
    """See Database."""

    move = MOVE

    def __init__(self, address: SqliteAddress, *, read_only: bool = False) -> None:
        self._address = address
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None

    def open(self, source: Source) -> str:
        """See Database."""

        def make(connection: sqlite3.Connection) -> None:
            for statement in statements(_KINDS, " WITHOUT ROWID"):
                connection.execute(statement)
            if connection.execute("SELECT 1 FROM ringonce_history").fetchone() is None:
                connection.executemany("INSERT INTO ringonce_history VALUES (?, ?)", kept_by(source).items())
            # So that both databases have the same rows; here a transaction locks all of it anyway.
            connection.executemany(EVERY_PART, [(STREAMS[0], number) for number in range(source.partitions)])

        if not self._read_only:
            try:
                self._address.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DatabaseRefusesError(f"{self._address.path.parent}: {error.strerror}") from None
            self._transaction(make)
        elif not self._address.path.exists() or not self._transaction(_has_tables):
            raise NoHistoryError(f"there is no history in {self._address.path}: `ringonce history` makes it")
        kept = self._transaction(lambda connection: connection.execute("SELECT * FROM ringonce_history").fetchall())
        return check_kept(dict(kept), source)

    def write(self, batch: Batch) -> int:
        """See Database."""

        def put(connection: sqlite3.Connection) -> int:
            for claim in batch.claims:
                self._hold(connection, claim)
            if not batch.statuses:
                return 0
            kept, found = self._without_erased(connection, batch.statuses)
            now_ms = max(row.at_ms for row in batch.statuses)
            _put(connection, lambda values: insert_new(STATUSES, values), kept)
            _put(connection, upsert_states, states_of(kept))
            _put(connection, lambda values: insert_new(ERASED_EVENTS, values), [(*event, now_ms) for event in found])
            return len(batch.statuses) - len(kept)

        return self._transaction(put)

    def erase(self, erasure: Erasure, claim: Claim | None) -> int:
        """See Database. What is removed is overwritten too."""
        user, before_ms = erasure.stored_user, erasure.said_before_ms

        def remove(connection: sqlite3.Connection) -> int:
            if claim is not None:
                self._hold(connection, claim._replace(next_offset=None))
            connection.execute(NOTE_ERASURE, (erasure.digest, before_ms))
            events = connection.execute(EVENTS_OF_USER, (user, user, before_ms)).fetchall()
            still = that_go_on(events, before_ms)
            _put(connection, lambda values: insert_new(ERASED_EVENTS, values), still)
            strays = connection.execute(STRAYS_OF_USER, (user, before_ms)).fetchall()
            one = "DELETE FROM ringonce_statuses WHERE status_partition = ? AND status_offset = ?"
            connection.executemany(one, strays)
            places = [row[:2] for row in events]
            connection.executemany(f"DELETE FROM ringonce_statuses {_OF_EVENT}", places)
            connection.executemany(f"DELETE FROM ringonce_notifications {_OF_EVENT}", places)
            return len(events) + len(strays)

        self._overwrite(True)
        try:
            return self._transaction(remove)
        finally:
            self._overwrite(False)

    def interrupt(self) -> None:
        """See Database."""
        connection = self._connection
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.interrupt()

    def close(self) -> None:
        """See Database."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _overwrite(self, on: bool) -> None:
        with suppress(sqlite3.Error):  # what fails here fails in the transaction, where it is said
            self._connected().execute(f"PRAGMA secure_delete = {'ON' if on else 'OFF'}")

    def _run(self, connection: sqlite3.Connection, statement: str, values: Sequence[Any] = ()) -> Any:
        return connection.execute(statement, values)

    def _erased_among(self, connection: sqlite3.Connection, events: Sequence[Event]) -> set[Event]:
        return set(connection.execute(_ERASED_AMONG, (json.dumps(events),)).fetchall())

    def _said_before(
        self, connection: sqlite3.Connection, oldest_ms: int, digests: Sequence[str]
    ) -> list[tuple[str, int]]:
        return connection.execute(_SAID_BEFORE, (oldest_ms, json.dumps(digests))).fetchall()

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


def _has_tables(connection: sqlite3.Connection) -> bool:
    """Return whether whoever makes them has come to the end: it is one transaction."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'ringonce_history'"
    return connection.execute(query).fetchone() is not None


def _put(connection: sqlite3.Connection, statement: Callable[[str], str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows, many with each statement; what is left over, row by row."""
    if not rows:
        return
    one = f"({', '.join('?' * len(rows[0]))})"
    whole = len(rows) - len(rows) % ROWS_AT_ONCE
    if whole:
        text = statement(f"VALUES {', '.join([one] * ROWS_AT_ONCE)}")
        for start in range(0, whole, ROWS_AT_ONCE):
            connection.execute(text, [value for row in rows[start : start + ROWS_AT_ONCE] for value in row])
    connection.executemany(statement(f"VALUES {one}"), rows[whole:])
