"""Rows of the table `slots`, read and written without a detour over dictionaries. Always in single-object encoding."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.records import SlotPhase
from schemas.varint import write_bytes, write_long

_HEADER: Final = CONTRACTS["Slot"].header
_BODY_START: Final = len(_HEADER)
_PHASES: Final[tuple[SlotPhase, ...]] = ("HELD", "ACCEPTED", "UNKNOWN")
_PHASE_BYTES: Final[dict[SlotPhase, bytes]] = {phase: write_long(index) for index, phase in enumerate(_PHASES)}
_CODEC: Final = Codec()


class SlotRow(NamedTuple):
    """One slot; the fields are those of schemas/avsc/slot.avsc, `notification_id` in UTF-8."""

    notification_id: bytes
    phase: SlotPhase
    blocked_until: int
    admitted_at: int
    send_by: int


def write_slot(notification_id: bytes, phase: SlotPhase, blocked_until: int, admitted_at: int, send_by: int) -> bytes:
    """The row of a slot. Nothing is checked. Raises KeyError for no phase, OverflowError beyond 64 bits."""
    return b"".join(
        (
            _HEADER,
            write_bytes(notification_id),
            _PHASE_BYTES[phase],
            write_long(blocked_until),
            write_long(admitted_at),
            write_long(send_by),
        )
    )


def read_slot(row: bytes) -> SlotRow:
    """A slot as its row says it. Raises PoisonError: state that cannot be read is a reason to stop, not to go on."""
    record = _CODEC.decode(row, ("Slot",)).record
    return SlotRow(
        record["notification_id"].encode(),
        record["phase"],
        record["blocked_until"],
        record["admitted_at"],
        record["send_by"],
    )
