"""Rows of the table `slots`, read and written without a detour over dictionaries. Always in single-object encoding."""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 (its own name says nothing)
from typing import Final, NamedTuple

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.records import SlotPhase
from schemas.varint import UnusualError, instant_of, write_bytes, write_long

_HEADER: Final = CONTRACTS["Slot"].header
_BODY_START: Final = len(_HEADER)
_PHASES: Final[tuple[SlotPhase, ...]] = ("HELD", "ACCEPTED", "UNKNOWN")
_PHASE_BYTES: Final[dict[SlotPhase, bytes]] = {phase: write_long(index) for index, phase in enumerate(_PHASES)}
_PHASE_OF: Final[dict[int, SlotPhase]] = {index << 1: phase for index, phase in enumerate(_PHASES)}
_PHASE_AND_INSTANTS: Final = Struct("<BHIHIHI").unpack_from  # each instant in six bytes, as those of our days are
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
    try:
        id_size = row[_BODY_START]
        phase_at = _BODY_START + 1 + (id_size >> 1)
        phase, low, high, low_2, high_2, low_3, high_3 = _PHASE_AND_INSTANTS(row, phase_at)
        notification_id = row[_BODY_START + 1 : phase_at]
        if row.startswith(_HEADER) and not id_size & 0x81 and len(row) == phase_at + 19 and notification_id.isascii():
            return _new(
                SlotRow,
                (
                    notification_id,
                    _PHASE_OF[phase],
                    instant_of(low, high),
                    instant_of(low_2, high_2),
                    instant_of(low_3, high_3),
                ),
            )
    except (IndexError, KeyError, StructError, UnusualError):
        pass  # Legal or not: the complete reader knows.
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
