"""Both databases that a history can be in, fresh for each test; and the statuses that the tests write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas.records import State
from streams.history.address import PostgresAddress, SqliteAddress
from streams.history.database import Batch, Claim, Database, Part, Source, open_database
from streams.history.rows import StatusRow
from streams.history.text import storable
from tests.postgres_server import PostgresServer

SOURCE = Source("statuses", 4, "cluster-1")


@dataclass(slots=True)
class Store:
    """An empty place for a history. Everything that was opened is closed at the end of the test."""

    address: SqliteAddress | PostgresAddress
    server: PostgresServer | None
    opened: list[Database] = field(default_factory=list)

    def made(self, read_only: bool = False) -> Database:
        """Return a database, not opened yet."""
        database = open_database(self.address, read_only=read_only)
        self.opened.append(database)
        return database

    def open(self, read_only: bool = False) -> Database:
        """Return a database with its tables."""
        database = self.made(read_only)
        database.open(SOURCE)
        return database


def new_store(kind: str, directory: Path, server: PostgresServer | None) -> Store:
    """Return a fresh place of one kind."""
    if kind == "sqlite":
        return Store(SqliteAddress(directory / "history.db"), None)
    assert server is not None, "asked for with a server"
    return Store(PostgresAddress(server.database()), server)


def said(
    offset: int,
    user: str,
    state: State,
    *,
    at: int = 1_000,
    origin: tuple[int, int] | None = None,
    kind: str = "t",
    id: str = "n",
    partition: int = 0,
) -> StatusRow:
    """A status at this place; its event, where nothing else is said, at the same offset."""
    return StatusRow(
        partition,
        offset,
        storable(id),
        storable(user),
        kind,
        state,
        "because",
        at,
        "suppress",
        *((partition, offset) if origin is None else origin),
        0,
        None,
        None,
        None,
        None,
    )


@dataclass(slots=True)
class Writer:
    """An owner of partitions, who writes behind what he wrote before."""

    database: Database
    claims: dict[int, Claim]

    def write(self, rows: Sequence[StatusRow]) -> int:
        """Write statuses in one transaction; return how many were passed over."""
        last: dict[int, int] = {}
        for row in rows:
            last[row.status_partition] = row.status_offset + 1
        claims = [self.claims[partition]._replace(next_offset=end) for partition, end in last.items()]
        return self.database.write(Batch(claims, list(rows)))


def writer(database: Database, partitions: Sequence[int] = (0, 1, 2, 3), owner: str = "me") -> Writer:
    """Claim partitions of `statuses`."""
    claims = database.claim([Part("statuses", number) for number in partitions], owner)
    return Writer(database, {claim.part.number: claim for claim in claims})
