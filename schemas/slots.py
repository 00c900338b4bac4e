"""Rows of the table `slots`, read and written without a detour over dictionaries. Always in single-object encoding."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.records import SlotPhase
from schemas.varint import read_instant, write_bytes, write_long

_HEADER: Final = CONTRACTS["Slot"].header
_BODY_START: Final = len(_HEADER)
_PHASES: Final[tuple[SlotPhase, ...]] = ("HELD", "ACCEPTED", "UNKNOWN")
_PHASE_BYTES: Final[dict[SlotPhase, bytes]] = {phase: write_long(index) for index, phase in enumerate(_PHASES)}
_PHASE_OF: Final[dict[int, SlotPhase]] = {index << 1: phase for index, phase in enumerate(_PHASES)}
_CODEC: Final = Codec()
_new: Final = tuple.__new__  # SlotRow(...) costs 0.2 µs more.


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
    if row.startswith(_HEADER) and len(row) > _BODY_START:
        id_size = row[_BODY_START]
        phase_at = _BODY_START + 1 + (id_size >> 1)
        if not id_size & 0x81 and len(row) == phase_at + 19:  # one byte of phase, three instants of six
            notification_id = row[_BODY_START + 1 : phase_at]
            phase = _PHASE_OF.get(row[phase_at])
            blocked_until = read_instant(row, phase_at + 1)
            admitted_at = read_instant(row, phase_at + 7)
            send_by = read_instant(row, phase_at + 13)
            if (
                phase is not None
                and blocked_until is not None
                and admitted_at is not None
                and send_by is not None
                and notification_id.isascii()
            ):
                return _new(SlotRow, (notification_id, phase, blocked_until, admitted_at, send_by))
    return _read_completely(row)


def _read_completely(row: bytes) -> SlotRow:
    record = _CODEC.decode(row, ("Slot",)).record
    return SlotRow(
        record["notification_id"].encode(),
        record["phase"],
        record["blocked_until"],
        record["admitted_at"],
        record["send_by"],
    )
