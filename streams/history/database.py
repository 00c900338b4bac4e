"""What the history needs of a database. One object serves one writer or reader, from one thread at a time.

What is read from Kafka is written by whoever claimed its part last. A claim raises the epoch in the part's row, and
each write is a transaction that first moves `next_offset` in that row under its own epoch: so an owner that was paused
and lost the part meanwhile finds another epoch there, and writes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

from streams.history.address import PostgresAddress, SqliteAddress, read_address
from streams.history.erasing import Erasure
from streams.history.queries import Page, Search
from streams.history.rows import StatusRow
from streams.history.schema import EDITION
from streams.settings import Settings
from streams.topics import TopicNames

HISTORY_FILE = "history.db"
Stream = Literal["statuses", "device-changes"]
STREAMS: Final[tuple[Stream, ...]] = ("statuses", "device-changes")


class DatabaseDownError(Exception):
    """It cannot be used now; what was under way is not in it, and may be tried again. The message holds no secret."""


class DatabaseRefusesError(Exception):
    """It is there, and waiting does not mend what is wrong. The message holds no secret."""


class NoHistoryError(DatabaseRefusesError):
    """There is a place for it, and nobody has ever kept a history there."""


class FencedError(Exception):
    """Somebody else has claimed one of these parts since; nothing was written. `resume` tells which."""


class Source(NamedTuple):
    """What a history is of: a topic of so many partitions, and the id of its cluster, None: who asks does not know."""

    topic: str
    partitions: int
    cluster: str | None = None


class Part(NamedTuple):
    """A partition of a topic that is read, named without the prefix of the installation."""

    stream: Stream
    number: int


class Claim(NamedTuple):
    """The right to write a part. `next_offset`: where to go on reading, None: nothing was read yet."""

    part: Part
    epoch: int
    next_offset: int | None


class Outdated(NamedTuple):
    """What is to go: what was said before, marks of erasures from before; at most so many statuses at a time."""

    said_before_ms: int
    marks_before_ms: int
    rows_max: int


class Batch(NamedTuple):
    """What is written in one transaction; `claims` have the offsets that will be the next ones."""

    claims: list[Claim]
    statuses: list[StatusRow]


class Database(Protocol):
    """Every method may raise DatabaseDownError, after which the object is used on as before: it connects again."""

    def open(self, source: Source) -> str:
        """Make the tables where they are missing; return the id of this history, which its first writer gave it.

        Raises DatabaseRefusesError, also for a history of something else, and NoHistoryError for a reader.
        """

    def claim(self, parts: Sequence[Part], owner: str) -> list[Claim]:
        """Claim parts; whoever had them before can write them no more."""

    def resume(self, claims: Sequence[Claim]) -> list[Claim]:
        """Return those claims that still hold, with the offsets that are in the database now."""

    def write(self, batch: Batch) -> int:
        """Write all of it or nothing; return how many statuses were passed over because their user was erased.

        Raises FencedError.
        """

    def erase(self, erasure: Erasure, claim: Claim | None) -> int:
        """Note an erasure, and remove some of what is there of the user; return how many statuses and events.

        0: there is nothing left, and what is read later of before the erasure is passed over. Raises FencedError where
        the claim does not hold; it is not moved.
        """

    def prune(self, claim: Claim, outdated: Outdated) -> int | None:
        """Remove the oldest statuses of a partition, and what ended with them.

        Returns when the oldest that is left was said, None: there is none. Raises FencedError.
        """

    def search(self, search: Search) -> Page:
        """Return a page of events."""

    def story(self, user_id: str, type: str, notification_id: str) -> list[StatusRow]:
        """Return the statuses of an id."""

    def interrupt(self) -> None:
        """From any other thread: end what is under way with a DatabaseDownError."""

    def close(self) -> None:
        """Let go of the connection."""


def kept_by(source: Source) -> dict[str, str]:
    """Return what a new history says of itself."""
    cluster = {} if source.cluster is None else {"cluster": source.cluster}
    return {"edition": EDITION, "topic": source.topic, "id": uuid.uuid4().hex, **cluster}


def check_kept(kept: Mapping[str, str], source: Source) -> str:
    """Return the id of a history. Raises DatabaseRefusesError where it is of another edition, or of something else."""
    if kept.get("edition") != EDITION:
        raise DatabaseRefusesError(
            f"its tables are of edition {kept.get('edition')}, this release writes edition {EDITION}: use another "
            "database, or the release that made it"
        )
    own = "each installation needs a database, or a schema, of its own"
    if kept.get("topic") != source.topic:
        raise DatabaseRefusesError(f"it holds the history of {kept.get('topic')}, not of {source.topic}: {own}")
    cluster = kept.get("cluster")
    if None not in (cluster, source.cluster) and cluster != source.cluster:
        raise DatabaseRefusesError(
            f"it holds the history of {source.topic} of the cluster {cluster}, and this one is {source.cluster}: {own}"
        )
    return kept["id"]


def history_source(settings: Settings) -> Source:
    """Return what the history of an installation is of, as far as settings say."""
    return Source(TopicNames.of(settings).statuses, settings.partitions)


def history_address(settings: Settings) -> SqliteAddress | PostgresAddress:
    """Return where the history of an installation is."""
    if settings.history_url is None:
        return SqliteAddress(settings.data_dir / HISTORY_FILE)
    return read_address(settings.history_url.get_secret_value())


def open_database(
    address: SqliteAddress | PostgresAddress, *, read_only: bool = False, seconds_max: float = 120.0
) -> Database:
    """Return the database at an address. Connects to nothing yet. `seconds_max`: for one statement."""
    if isinstance(address, SqliteAddress):
        from streams.history.sqlite import SqliteDatabase

        return SqliteDatabase(address, read_only=read_only)
    from streams.history.postgres import PostgresDatabase

    return PostgresDatabase(address, read_only=read_only, seconds_max=seconds_max)
