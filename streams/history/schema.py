"""The tables of the history, in SQL that PostgreSQL, CockroachDB, YugabyteDB and SQLite have in common.

    ringonce_statuses        every status, by its place on the topic
    ringonce_notifications   where each event stands now, by the place of the event on its topic
    ringonce_partitions      how far each partition of `statuses` was read, and who writes it
    ringonce_history         which topic this is the history of, and by which edition of these tables

Instants are milliseconds since the epoch. In ids and reasons, a NUL is written `\\0` and a backslash twice.
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
    "status_offset": "long",
    "origin_offset": "long",
    "next_offset": "long",
    "epoch": "long",
}
_NULLABLE: Final = frozenset(
    ("admitted_at_ms", "provider", "device_id", "by_notification_id", "until_ms", "owner", "next_offset")
)


class Table(NamedTuple):
    """A table: its columns in the order in which rows are written, and its primary key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


STATUSES: Final = Table("ringonce_statuses", StatusRow._fields, ("status_partition", "status_offset"))
NOTIFICATIONS: Final = Table("ringonce_notifications", StateRow._fields, ("origin_partition", "origin_offset"))
PARTITIONS: Final = Table(
    "ringonce_partitions", ("status_partition", "next_offset", "epoch", "owner"), ("status_partition",)
)
HISTORY: Final = Table("ringonce_history", ("name", "value"), ("name",))
TABLES: Final = (STATUSES, NOTIFICATIONS, PARTITIONS, HISTORY)

# The order in which searches page: newest first, and by origin what began in the same millisecond.
PAGE_ORDER: Final = ("began_at_ms", "origin_partition", "origin_offset")
SEARCHED_BY: Final = ("user_id", "type", "state", "notification_id")
# Those that do not change when a notification goes on; its state does, and with it one index.
_SET_ON_CONFLICT: Final = tuple(
    name
    for name in StateRow._fields
    if name
    not in (
        "origin_partition",
        "origin_offset",
        "notification_id",
        "user_id",
        "type",
        "began_at_ms",
        "admitted_at_ms",
    )
)


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
    made.append(_index(STATUSES.name, "origin", ("origin_partition", "origin_offset")))
    made.append(_index(NOTIFICATIONS.name, "time", PAGE_ORDER))
    made += [_index(NOTIFICATIONS.name, name, (name, *PAGE_ORDER)) for name in SEARCHED_BY]
    return made


def _index(table: str, name: str, columns: tuple[str, ...]) -> str:
    return f"CREATE INDEX IF NOT EXISTS {table}_by_{name} ON {table} ({', '.join(columns)})"


def insert_statuses(source: str) -> str:
    """Return the insertion of statuses; one that is there already is the same record, read again."""
    table = STATUSES
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


# The statuses of a partition from its front on, of which the first `rows_max` are looked at: those before the last one
# that is too old go, and with each event whose last status is among them its row.
PRUNE_UP_TO: Final = (
    "SELECT MAX(status_offset) FROM (SELECT status_offset, at_ms FROM ringonce_statuses WHERE status_partition = {0} "
    "ORDER BY status_offset LIMIT {1}) AS front WHERE at_ms < {2}"
)
PRUNE_STATES: Final = (
    "DELETE FROM ringonce_notifications WHERE status_partition = {0} AND status_offset <= {1} "
    "AND (origin_partition, origin_offset) IN (SELECT origin_partition, origin_offset FROM ringonce_statuses "
    "WHERE status_partition = {0} AND status_offset <= {1})"
)
PRUNE_STATUSES: Final = "DELETE FROM ringonce_statuses WHERE status_partition = {0} AND status_offset <= {1}"
OLDEST: Final = "SELECT at_ms FROM ringonce_statuses WHERE status_partition = {0} ORDER BY status_offset LIMIT 1"

_OF_USER: Final = "(SELECT origin_partition, origin_offset FROM ringonce_notifications WHERE user_id = {0})"
# Statuses have no index by user: they are found by their events, and those of no event by that.
FORGET: Final = (
    f"DELETE FROM ringonce_statuses WHERE (origin_partition, origin_offset) IN {_OF_USER}",
    "DELETE FROM ringonce_statuses WHERE origin_partition = -1 AND origin_offset = -1 AND user_id = {0}",
    "DELETE FROM ringonce_notifications WHERE user_id = {0}",
)
