"""What the history keeps of a status: a row for the status, and one for where its event stands now. Pure.

An event is known by its origin, its place on `notifications`: the same id in two events is two rows, one of which ended
as a duplicate. What was held back and admitted anew goes on in the same row, so that a search for what waits, or for
what was suppressed, finds what is so now; the statuses tell of each admission.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

UNKNOWN_ORIGIN = (-1, -1)  # of a record of a stage that could not be read: there is no event to say anything about


class StatusRow(NamedTuple):
    """One record of `statuses` and its place there. Instants in milliseconds since the epoch."""

    status_partition: int
    status_offset: int
    notification_id: str
    user_id: str
    type: str
    state: str
    reason: str
    at_ms: int
    stage: str
    origin_partition: int
    origin_offset: int
    attempt: int
    provider: str | None
    device_id: str | None
    by_notification_id: str | None
    until_ms: int | None


class StateRow(NamedTuple):
    """Where an event stands, by the last status that says so. `began_at_ms`: of the first status that was seen."""

    origin_partition: int
    origin_offset: int
    notification_id: str
    user_id: str
    type: str
    began_at_ms: int
    admitted_at_ms: int | None
    state: str
    reason: str
    stage: str
    at_ms: int
    attempt: int
    by_notification_id: str | None
    until_ms: int | None
    status_partition: int
    status_offset: int


def status_row(partition: int, offset: int, status: Mapping[str, Any]) -> StatusRow:
    """Return the row of a status that was read at this place."""
    return StatusRow(
        partition,
        offset,
        storable(status["notification_id"]),
        storable(status["user_id"]),
        status["type"],
        status["state"],
        storable(status["reason"]),
        status["at"],
        status["stage"],
        status["origin_partition"],
        status["origin_offset"],
        status["attempt"],
        status["provider"],
        _storable_or_none(status["device_id"]),
        _storable_or_none(status["by_notification_id"]),
        status["until"],
    )


def states_of(rows: Iterable[StatusRow]) -> list[StateRow]:
    """Return where the events stand after these statuses, which are in the order of their partitions.

    The answer for one device (ATTEMPTED) does not say where its event stands.
    """
    states: dict[tuple[int, int], StateRow] = {}
    for row in rows:
        origin = (row.origin_partition, row.origin_offset)
        if row.state == "ATTEMPTED" or origin == UNKNOWN_ORIGIN:
            continue
        before = states.get(origin)
        admitted_at_ms = row.at_ms if row.state == "ADMITTED" else None if before is None else before.admitted_at_ms
        states[origin] = StateRow(
            row.origin_partition,
            row.origin_offset,
            row.notification_id,
            row.user_id,
            row.type,
            row.at_ms if before is None else before.began_at_ms,
            admitted_at_ms,
            row.state,
            row.reason,
            row.stage,
            row.at_ms,
            row.attempt,
            row.by_notification_id,
            row.until_ms,
            row.status_partition,
            row.status_offset,
        )
    return list(states.values())


def storable(text: str) -> str:
    """Return a text as a database can hold it: PostgreSQL takes no NUL, which an id may have."""
    if "\0" not in text and "\\" not in text:
        return text
    return text.replace("\\", "\\\\").replace("\0", "\\0")


def original(text: str) -> str:
    """Return the text that `storable` was given."""
    if "\\" not in text:
        return text
    return "\\".join(part.replace("\\0", "\0") for part in text.split("\\\\"))


def _storable_or_none(text: str | None) -> str | None:
    return None if text is None else storable(text)
