"""The history on a server that speaks PostgreSQL's protocol: PostgreSQL, CockroachDB, YugabyteDB.

Rows go as one array for each column, in binary, which `unnest` makes rows of: three times as fast as a list of VALUES.
A transaction that the server ends because of another one is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from streams.history.address import PostgresAddress
from streams.history.database import (
    Batch,
    Claim,
    DatabaseDownError,
    DatabaseRefusesError,
    FencedError,
    check_kept,
)
from streams.history.queries import Page, Query, Search, page_of, search_query, story_of, story_query
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
    Table,
    insert_statuses,
    kind_of,
    statements,
    upsert_states,
)

TRIES_MAX: Final = 5
# Each may be said otherwise in the URL. A host that is gone is noticed by the last two.
_OPTIONS: Final[Mapping[str, str]] = {
    "connect_timeout": "5",
    "application_name": "ringonce history",
    "keepalives_idle": "10",
    "tcp_user_timeout": "30000",
}
# A writer that was paused within a transaction holds its rows for so long. Not every server knows each of them.
_SESSION: Final = ("SET idle_in_transaction_session_timeout = '20s'", "SET statement_timeout = '120s'")
# What a server says, in English, of a setting that is wrong; sqlstates are not to be had before a connection stands.
_REFUSALS: Final = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password supplied",
    "not permitted to log in",
    "permission denied",
)
_KINDS: Final[Mapping[Kind, str]] = {"int": "INTEGER", "long": "BIGINT", "text": "TEXT"}
_ARRAYS: Final[Mapping[Kind, str]] = {"int": "int4[]", "long": "int8[]", "text": "text[]"}
Done = TypeVar("Done")
Connection = psycopg.Connection[tuple[Any, ...]]


def _unnested(table: Table) -> str:
    return f"SELECT * FROM unnest({', '.join(f'%b::{_ARRAYS[kind_of(name)]}' for name in table.columns)})"


_INSERT_STATUSES: Final = insert_statuses(_unnested(STATUSES))
_UPSERT_STATES: Final = upsert_states(_unnested(NOTIFICATIONS))
_CLAIM: Final = (
    "INSERT INTO ringonce_partitions (status_partition, epoch, owner) VALUES (%s, 1, %s) "
    "ON CONFLICT (status_partition) DO UPDATE SET epoch = ringonce_partitions.epoch + 1, owner = excluded.owner "
    "RETURNING status_partition, epoch, next_offset"
)
_MOVE: Final = (
    "UPDATE ringonce_partitions SET next_offset = COALESCE(%s::int8, next_offset) "
    "WHERE status_partition = %s AND epoch = %s"
)


class PostgresDatabase:
    """See Database."""

    def __init__(self, address: PostgresAddress, *, read_only: bool = False) -> None:
        self._address = address
        self._read_only = read_only
        self._connection: Connection | None = None

    def open(self, topic: str) -> None:
        """See Database."""
        kept = self._kept()
        if not kept and not self._read_only:  # empty where whoever made the tables did not come to the end
            for statement in statements(_KINDS):
                self._run_alone(statement)
            for pair in (("edition", EDITION), ("topic", topic)):
                self._run_alone("INSERT INTO ringonce_history VALUES (%s, %s) ON CONFLICT (name) DO NOTHING", pair)
            kept = self._kept()
        if not kept:
            raise DatabaseRefusesError(f"there is no history in {self._address}: `ringonce history` makes it")
        check_kept(kept, topic)

    def _kept(self) -> dict[str, str] | None:
        """Return what the database says that it holds, None: it was never used."""

        def look(connection: Connection) -> dict[str, str] | None:
            if _run(connection, "SELECT to_regclass('ringonce_history')").fetchall() == [(None,)]:
                return None
            return dict(_run(connection, "SELECT name, value FROM ringonce_history").fetchall())

        return self._transaction(look)

    def _run_alone(self, statement: str, values: tuple[str, ...] = ()) -> None:
        self._transaction(lambda connection: _run(connection, statement, values))

    def claim(self, partitions: Sequence[int], owner: str) -> list[Claim]:
        """See Database."""

        def take(connection: Connection) -> list[Claim]:
            rows = [_run(connection, _CLAIM, (partition, owner)).fetchone() for partition in sorted(partitions)]
            return [Claim(*row) for row in rows if row is not None]

        return self._transaction(take)

    def resume(self, claims: Sequence[Claim]) -> list[Claim]:
        """See Database."""
        query = "SELECT status_partition, epoch, next_offset FROM ringonce_partitions"
        rows = self._transaction(lambda connection: _run(connection, query).fetchall())
        kept = {row[0]: Claim(*row) for row in rows}
        now = [kept.get(each.partition) for each in claims]
        return [new for old, new in zip(claims, now, strict=True) if new is not None and new.epoch == old.epoch]

    def write(self, batch: Batch) -> None:
        """See Database."""

        def put(connection: Connection) -> None:
            for claim in batch.claims:
                _hold(connection, claim)
            for statement, rows in ((_INSERT_STATUSES, batch.statuses), (_UPSERT_STATES, batch.states)):
                if rows:
                    _run(connection, statement, [list(column) for column in zip(*rows, strict=True)])

        self._transaction(put)

    def prune(self, claim: Claim, before_ms: int, rows_max: int) -> int | None:
        """See Database."""
        partition = claim.partition

        def remove(connection: Connection) -> int | None:
            _hold(connection, claim._replace(next_offset=None))
            found = _run(connection, PRUNE_UP_TO.format("%s", "%s", "%s"), (partition, rows_max, before_ms)).fetchone()
            if found is not None and found[0] is not None:
                values = {"partition": partition, "last": found[0]}
                for statement in (PRUNE_STATES, PRUNE_STATUSES):
                    _run(connection, statement.format("%(partition)s", "%(last)s"), values)
            oldest = _run(connection, OLDEST.format("%s"), (partition,)).fetchone()
            return None if oldest is None else int(oldest[0])

        return self._transaction(remove)

    def search(self, search: Search) -> Page:
        """See Database."""
        return page_of(search, self._read(search_query(search)))

    def story(self, user_id: str, type: str, notification_id: str) -> list[StatusRow]:
        """See Database."""
        return story_of(self._read(story_query(user_id, type, notification_id)))

    def forget(self, user_id: str) -> int:
        """See Database."""

        def remove(connection: Connection) -> int:
            removed = [_run(connection, each.format("%s"), (storable(user_id),)).rowcount for each in FORGET]
            return sum(removed[:-1])

        return self._transaction(remove)

    def close(self) -> None:
        """See Database."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _read(self, query: Query) -> list[tuple[Any, ...]]:
        text = query.text.replace("?", "%s")
        return self._transaction(lambda connection: _run(connection, text, query.values).fetchall())

    def _transaction(self, work: Callable[[Connection], Done]) -> Done:
        tried = 0
        while True:
            tried += 1
            try:
                connection = self._connected()
                with connection.transaction():
                    return work(connection)
            except (errors.TransactionRollback, errors.UniqueViolation, errors.DuplicateTable) as error:
                # Another transaction was in the way, or another process makes the same table at the same time.
                if tried == TRIES_MAX:
                    self.close()
                    raise DatabaseDownError(self._said(error)) from None
            except (psycopg.OperationalError, psycopg.InterfaceError, errors.ReadOnlySqlTransaction) as error:
                self.close()
                raise DatabaseDownError(self._said(error)) from None
            except psycopg.Error as error:
                self.close()
                raise DatabaseRefusesError(self._said(error)) from None

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            options = {**_OPTIONS, **conninfo_to_dict(self._address.url)}
            try:
                connection = psycopg.connect(**options, autocommit=True)  # type: ignore[arg-type] # texts all of them
            except psycopg.OperationalError as error:
                said = self._said(error)
                if any(each in said for each in _REFUSALS):
                    raise DatabaseRefusesError(said) from None
                raise
            for statement in _SESSION:
                try:
                    _run(connection, statement)
                except psycopg.DatabaseError:
                    if connection.closed:
                        raise
            self._connection = connection
        return self._connection

    def _said(self, error: psycopg.Error) -> str:
        text = " ".join(str(error).split()) or type(error).__name__
        return self._address.without_secrets(text)


def _run(connection: Connection, statement: str, values: Any = ()) -> psycopg.Cursor[tuple[Any, ...]]:
    # It is put together from names of our own; values are never part of it.
    return connection.execute(statement, values or None)


def _hold(connection: Connection, claim: Claim) -> None:
    values = (claim.next_offset, claim.partition, claim.epoch)
    if _run(connection, _MOVE, values).rowcount != 1:
        raise FencedError(f"partition {claim.partition} has another owner")
