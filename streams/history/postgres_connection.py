"""A connection to a server that speaks PostgreSQL's protocol: one transaction at a time, and what its failures mean."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from streams.history.address import PostgresAddress
from streams.history.database import DatabaseDownError, DatabaseRefusesError

logger = logging.getLogger(__name__)

TRIES_MAX: Final = 5
# Each may be said otherwise in the URL. A host that is gone is noticed by the last two.
_OPTIONS: Final[Mapping[str, str]] = {
    "connect_timeout": "5",
    "application_name": "ringonce history",
    "keepalives_idle": "10",
    "tcp_user_timeout": "30000",
}
# What a server says, in English, of a setting that is wrong; sqlstates are not to be had before a connection stands.
_REFUSALS: Final = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password supplied",
    "not permitted to log in",
    "permission denied",
    "does not support SSL",
    "certificate verify failed",
)
# Another transaction was in the way, or another process makes the same table at the same time.
_AGAIN: Final = (errors.TransactionRollback, errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateObject)
_DOWN: Final = (psycopg.OperationalError, psycopg.InterfaceError, errors.ReadOnlySqlTransaction)
Done = TypeVar("Done")
Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresConnection:
    """Connects when it is needed, and again after a failure. `seconds_max`: for one statement."""

    def __init__(self, address: PostgresAddress, read_only: bool, seconds_max: float) -> None:
        self._address = address
        self._read_only = read_only
        # A writer that was paused within a transaction holds its rows for so long. Not every server knows each of them.
        self._session = (
            "SET idle_in_transaction_session_timeout = '20s'",
            f"SET statement_timeout = {int(seconds_max * 1000)}",
            *(("SET default_transaction_read_only = on",) if read_only else ()),
        )
        self._connection: Connection | None = None

    def transaction(self, work: Callable[[Connection], Done]) -> Done:
        """Do it in a transaction. Raises DatabaseDownError, DatabaseRefusesError and what the work raises."""
        tried = 0
        while True:
            tried += 1
            fresh = self._connection is None
            try:
                connection = self._connected()
                with connection.transaction():
                    return work(connection)
            except _AGAIN as error:
                if tried == TRIES_MAX:
                    self.close()
                    raise DatabaseDownError(self._said(error)) from None
            except _DOWN as error:
                dropped = self._connection is not None and self._connection.closed
                self.close()
                # A server that was restarted while nobody asked is asked once more; reading twice does no harm.
                if not (self._read_only and dropped and not fresh and tried == 1):
                    raise DatabaseDownError(self._said(error)) from None
            except psycopg.Error as error:
                self.close()
                raise DatabaseRefusesError(self._said(error)) from None

    def interrupt(self) -> None:
        """From any other thread: end what is under way, also where the server does not answer any more."""
        connection = self._connection
        with suppress(OSError, psycopg.Error, AttributeError):
            if connection is not None and not connection.closed:
                with socket.socket(fileno=os.dup(connection.fileno())) as ours:
                    ours.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

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
            for statement in self._session:
                try:
                    run(connection, statement)
                except psycopg.DatabaseError as error:
                    if connection.closed:
                        raise
                    logger.info("history: the server does not know %s: %s", statement, self._said(error))
            self._connection = connection
        return self._connection

    def _said(self, error: psycopg.Error) -> str:
        text = " ".join(str(error).split()) or type(error).__name__
        return self._address.without_secrets(text)


def run(connection: Connection, statement: str, values: Any = ()) -> psycopg.Cursor[tuple[Any, ...]]:
    """Run a statement with `?` for its values, which are never part of it: it is put together from names of our own."""
    return connection.execute(statement.replace("?", "%s"), values or None)
