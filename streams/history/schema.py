"""The tables of the history, in SQL that PostgreSQL, CockroachDB, YugabyteDB and SQLite have in common.

    ringonce_statuses        every status, by its place on the topic
    ringonce_notifications   where each event stands now, by the place of the event on its topic
    ringonce_parts           how far each partition of `statuses` and `device-changes` was read, and who writes it
    ringonce_erased_users    digests of users who were erased, and up to when
    ringonce_erased_events   events that were theirs, of which nothing more is written
    ringonce_history         what this is the history of, and by which edition of these tables

Instants are milliseconds since the epoch. In texts, a NUL is written `\\0` and a backslash twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from streams.history.rows import StateRow, StatusRow

EDITION: Final = "1"
Kind = Literal["int", "long", "text"]

_KINDS: Final[Mapping[str, Kind]] = {
    "status_partition": "int",
    "origin_partition": "int",
    "attempt": "int",
    "number": "int",
    "status_offset": "long",
    "origin_offset": "long",
    "next_offset": "long",
    "epoch": "long",
}
_NULLABLE: Final = frozenset(
    ("admitted_at_ms", "provider", "device_id", "by_notification_id", "until_ms", "owner", "next_offset")
)
EVENT: Final = ("origin_partition", "origin_offset")


class Table(NamedTuple):
    """A table: its columns in the order in which rows are written, and its primary key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


STATUSES: Final = Table("ringonce_statuses", StatusRow._fields, ("status_partition", "status_offset"))
NOTIFICATIONS: Final = Table("ringonce_notifications", StateRow._fields, EVENT)
PARTS: Final = Table("ringonce_parts", ("stream", "number", "next_offset", "epoch", "owner"), ("stream", "number"))
ERASED_USERS: Final = Table("ringonce_erased_users", ("user_digest", "said_before_ms"), ("user_digest",))
ERASED_EVENTS: Final = Table("ringonce_erased_events", (*EVENT, "erased_at_ms"), EVENT)
HISTORY: Final = Table("ringonce_history", ("name", "value"), ("name",))
TABLES: Final = (STATUSES, NOTIFICATIONS, PARTS, ERASED_USERS, ERASED_EVENTS, HISTORY)

# The order in which searches page: newest first, and by origin what began in the same millisecond.
PAGE_ORDER: Final = ("began_at_ms", *EVENT)
# What a search may begin with, one column each; the rest of its conditions is looked at row by row. `subject` is user
# and id: of two columns PostgreSQL may find the first alone in another index, and sort all that there is of the user.
LEADS: Final[Mapping[str, tuple[str, ...]]] = {
    "one": ("subject",),
    "id": ("notification_id",),
    "user": ("user_id",),
    "state": ("state",),
    "type": ("type",),
    "time": (),
}
# What does not change when a notification goes on.
_OF_THE_EVENT: Final = (*EVENT, "notification_id", "user_id", "type", "subject", "began_at_ms", "admitted_at_ms")
_SET_ON_CONFLICT: Final = tuple(name for name in StateRow._fields if name not in _OF_THE_EVENT)


def kind_of(column: str) -> Kind:
    """Return what a column holds."""
    return _KINDS.get(column) or ("long" if column.endswith("_ms") else "text")


def statements(types: Mapping[Kind, str], suffix: str = "") -> list[str]:
    """Return what makes the tables and their indexes, where they are not there yet. `suffix`: after each table."""
    made = []
    for table in TABLES:
        columns = ", ".join(
            f"{name} {types[kind_of(name)]}{'' if name in _NULLABLE else ' NOT NULL'}" for name in table.columns
        )
        made.append(
            f"CREATE TABLE IF NOT EXISTS {table.name} ({columns}, PRIMARY KEY ({', '.join(table.key)})){suffix}"
        )
    made.append(_index(STATUSES.name, "origin", EVENT))
    # Statuses of no event are found by their user where he is to be erased; they are few.
    made.append(_index(STATUSES.name, "stray_user", ("user_id",)) + " WHERE origin_partition = -1")
    made += [_index(NOTIFICATIONS.name, name, (*columns, *PAGE_ORDER)) for name, columns in LEADS.items()]
    made.append(_index(ERASED_USERS.name, "time", ("said_before_ms",)))
    made.append(_index(ERASED_EVENTS.name, "time", ("erased_at_ms",)))
    return made


def _index(table: str, name: str, columns: tuple[str, ...]) -> str:
    # ASC is said aloud for YugabyteDB, which else would scatter the first column by its hash.
    return f"CREATE INDEX IF NOT EXISTS {table}_by_{name} ON {table} ({', '.join(f'{each} ASC' for each in columns)})"


def insert_new(table: Table, source: str) -> str:
    """Return the insertion of rows; one that is there already is the same record, read again."""
    columns, key = ", ".join(table.columns), ", ".join(table.key)
    return f"INSERT INTO {table.name} ({columns}) {source} ON CONFLICT ({key}) DO NOTHING"


def upsert_states(source: str) -> str:
    """Return the insertion of states, each in place of an older one; one that is read again changes nothing newer."""
    table = NOTIFICATIONS
    columns = [f"{name} = excluded.{name}" for name in _SET_ON_CONFLICT]
    columns.append(f"admitted_at_ms = COALESCE(excluded.admitted_at_ms, {table.name}.admitted_at_ms)")
    return (
        f"INSERT INTO {table.name} ({', '.join(table.columns)}) {source} ON CONFLICT ({', '.join(table.key)}) "
        f"DO UPDATE SET {', '.join(columns)} WHERE excluded.status_offset > {table.name}.status_offset"
    )


# `?` stands for a value, as in every statement of this package.
CLAIM: Final = (
    "INSERT INTO ringonce_parts (stream, number, epoch, owner) VALUES (?, ?, 1, ?) "
    "ON CONFLICT (stream, number) DO UPDATE SET epoch = ringonce_parts.epoch + 1, owner = excluded.owner "
    "RETURNING epoch, next_offset"
)
MOVE: Final = (
    "UPDATE ringonce_parts SET next_offset = COALESCE(?, next_offset) WHERE stream = ? AND number = ? AND epoch = ?"
)
RESUME: Final = "SELECT stream, number, epoch, next_offset FROM ringonce_parts"

# The statuses of a partition from its front on, of which the first `rows_max` are looked at: those before the last one
# that is too old go, and each event of which none is left.
PRUNE_UP_TO: Final = (
    "SELECT MAX(status_offset) FROM (SELECT status_offset, at_ms FROM ringonce_statuses WHERE status_partition = ? "
    "ORDER BY status_offset LIMIT ?) AS front WHERE at_ms < ?"
)
PRUNE_STATES: Final = (
    "DELETE FROM ringonce_notifications WHERE (origin_partition, origin_offset) IN ("
    "SELECT origin_partition, origin_offset FROM ringonce_statuses AS old "
    "WHERE status_partition = ? AND status_offset <= ? AND NOT EXISTS (SELECT 1 FROM ringonce_statuses AS later "
    "WHERE later.origin_partition = old.origin_partition AND later.origin_offset = old.origin_offset "
    "AND later.status_offset > ?))"
)
PRUNE_STATUSES: Final = "DELETE FROM ringonce_statuses WHERE status_partition = ? AND status_offset <= ?"
OLDEST: Final = "SELECT at_ms FROM ringonce_statuses WHERE status_partition = ? ORDER BY status_offset LIMIT 1"
PRUNE_MARKS: Final = (
    "DELETE FROM ringonce_erased_users WHERE said_before_ms < ?",
    "DELETE FROM ringonce_erased_events WHERE erased_at_ms < ?",
)

# A batch whose oldest status is younger than all erasures, with no event of theirs about, needs no further question.
ANY_ERASED: Final = (
    "SELECT EXISTS (SELECT 1 FROM ringonce_erased_users WHERE said_before_ms >= ?), "
    "EXISTS (SELECT 1 FROM ringonce_erased_events)"
)
EVERY_PART: Final = "INSERT INTO ringonce_parts (stream, number, epoch) VALUES (?, ?, 0) ON CONFLICT DO NOTHING"
NOTE_ERASURE: Final = (
    "INSERT INTO ringonce_erased_users (user_digest, said_before_ms) VALUES (?, ?) ON CONFLICT (user_digest) "
    "DO UPDATE SET said_before_ms = excluded.said_before_ms "
    "WHERE excluded.said_before_ms > ringonce_erased_users.said_before_ms"
)
ERASED_MAX: Final = 500  # events, or statuses of no event, in one transaction
EVENTS_OF_USER: Final = (
    "SELECT origin_partition, origin_offset, state, at_ms FROM ringonce_notifications "
    "WHERE (user_id, began_at_ms) >= (?, -1) AND (user_id, began_at_ms) <= (?, ?) "
    f"ORDER BY user_id, began_at_ms LIMIT {ERASED_MAX}"
)
STRAYS_OF_USER: Final = (
    "SELECT status_partition, status_offset FROM ringonce_statuses "
    f"WHERE origin_partition = -1 AND user_id = ? AND at_ms <= ? LIMIT {ERASED_MAX}"
)
