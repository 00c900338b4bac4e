"""What the history keeps of a status: a row for the status, and one for where its event stands now. Pure.

An event is known by its origin, its place on `notifications`: the same id in two events is two rows, one of which ended
as a duplicate. What was held back and admitted anew goes on in the same row, so that a search for what waits, or for
what was suppressed, finds what is so now; the statuses tell of each admission.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from schemas.keys import NOTIFICATION_ID_BYTES_MAX, TYPE_BYTES_MAX, USER_ID_BYTES_MAX
from schemas.poison import PoisonError
from streams.history.text import original, storable

UNKNOWN_ORIGIN: Final = (-1, -1)  # of a record of a stage that could not be read: nothing can be said of an event
REASON_CHARACTERS_MAX: Final = 4_000
INSTANT_MAX: Final = 253_402_300_799_999  # the end of the year 9999
_SIZES: Final = {
    "notification_id": NOTIFICATION_ID_BYTES_MAX,
    "user_id": USER_ID_BYTES_MAX,
    "type": TYPE_BYTES_MAX,
}
_TEXTS: Final = frozenset((*_SIZES, "stage", "provider", "device_id", "by_notification_id", "reason"))


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
    """Where an event stands, by the last status that says so. `began_at_ms`: of the first status that was seen.

    `subject`: user and id as one text, to search by.
    """

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
    subject: str


Row = TypeVar("Row", StatusRow, StateRow)


def status_row(partition: int, offset: int, status: Mapping[str, Any]) -> StatusRow:
    """Return the row of a status that was read at this place, its texts as they are stored.

    Raises PoisonError for what no stage of ours says: an index takes no name that is longer than names may be.
    """
    for name, size in _SIZES.items():
        text = status[name]
        if len(text) * 4 > size and len(text.encode()) > size:
            raise PoisonError("INVALID_FIELD", f"{name} has more than {size} bytes")
    at_ms = status["at"]
    if not 0 <= at_ms <= INSTANT_MAX:
        raise PoisonError("INVALID_FIELD", f"at is {at_ms}, which is no instant until the year 9999")
    by, device_id, provider = status["by_notification_id"], status["device_id"], status["provider"]
    return StatusRow(
        partition,
        offset,
        storable(status["notification_id"]),
        storable(status["user_id"]),
        storable(status["type"]),
        status["state"],
        storable(status["reason"][:REASON_CHARACTERS_MAX]),
        at_ms,
        storable(status["stage"]),
        status["origin_partition"],
        status["origin_offset"],
        status["attempt"],
        None if provider is None else storable(provider),
        None if device_id is None else storable(device_id),
        None if by is None else storable(by),
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
        states[origin] = StateRow(
            row.origin_partition,
            row.origin_offset,
            row.notification_id,
            row.user_id,
            row.type,
            row.at_ms if before is None else before.began_at_ms,
            row.at_ms if row.state == "ADMITTED" else None if before is None else before.admitted_at_ms,
            row.state,
            row.reason,
            row.stage,
            row.at_ms,
            row.attempt,
            row.by_notification_id,
            row.until_ms,
            row.status_partition,
            row.status_offset,
            subject_of(row.user_id, row.notification_id),
        )
    return list(states.values())


def subject_of(stored_user: str, stored_id: str) -> str:
    """Return user and id as one text, as they are stored. Others may have the same, if they have spaces."""
    return f"{stored_user} {stored_id}"


def restored(row: Row) -> Row:
    """Return a row with its texts as they were said."""
    escaped: dict[str, Any] = {
        name: original(text) for name, text in row._asdict().items() if name in _TEXTS and text and "\\" in text
    }
    return row._replace(**escaped) if escaped else row
