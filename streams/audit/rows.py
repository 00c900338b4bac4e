"""What the checks are given: rows of the record, read from Kafka and from the providers' push log, and the rules.

Instants are milliseconds since the epoch. `place` says where a row was read, as `topic-partition@offset`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Promise = Literal["P1", "P2", "P3", "P4"]
Origin = tuple[int, int]


class Rules(NamedTuple):
    """What holds for a slot. `hold_ms`: the longest that an admitted notification can hold a place without a verdict,
    from its `send_by` on: grace, window and clock skew. `skew_ms`: the most by which two clocks may differ."""

    window_ms: int
    limit: int
    resend_unknown: bool
    hold_ms: int
    skew_ms: int


class StatusRow(NamedTuple):
    """One record of `statuses`. `by`: who stands in the way; `until`: blocked, due or send_by, as the state has it.
    `stage`: who decided."""

    notification_id: str
    state: str
    reason: str
    at: int
    timestamp: int
    origin: Origin
    attempt: int
    device_id: str | None
    by: str | None
    until: int | None
    place: str
    stage: str = ""

    @property
    def by_cap(self) -> bool:
        """Whether it is the end of one that was admitted, for want of room in a cap: the slot does not matter."""
        return self.state == "SUPPRESSED" and self.stage == "deliver"


class ClaimRow(NamedTuple):
    """One claim for one device, as a record of the changelog of `deliveries` has it. `timestamp`: of that record."""

    notification_id: str
    device_id: str
    attempt: int
    phase: str
    at: int
    timestamp: int
    place: str


class PushRow(NamedTuple):
    """One line of the providers' push log: a push that reached a device, at the instant of its acceptance."""

    notification_id: str
    at: int
    provider: str
    address: str
    push_id: str
    place: str


class SlotHistory(NamedTuple):
    """All that the record says of one slot, each list in the order of its topic. `pushes` is None without a log."""

    slot: bytes
    statuses: list[StatusRow]
    claims: list[ClaimRow]
    pushes: list[PushRow] | None


class Violation(NamedTuple):
    """One broken promise: a sentence, when it happened, and whom it concerns.

    `slot` is None where only the origin of the event is known.
    """

    promise: Promise
    sentence: str
    at: int
    slot: bytes | None
    notification_ids: tuple[str, ...]
    origin: Origin | None = None
