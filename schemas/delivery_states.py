"""Writes rows of the table `deliveries` without a detour over dictionaries. Always in single-object encoding."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from schemas.contracts import CONTRACTS
from schemas.varint import write_bytes, write_long

_HEADER: Final = CONTRACTS["DeliveryState"].header
_PHASES: Final = {
    phase: write_long(index) for index, phase in enumerate(("SENDING", "ACCEPTED", "NOT_SENT", "UNKNOWN"))
}

ClaimFields = tuple[str, str, int, str, int, str]
"""One DeviceClaim: device_id, provider, attempt, phase, at, reason."""


def write_delivery_state(
    admitted_at: int, attempt: int, concluded: bool, at: int, claims: Collection[ClaimFields]
) -> bytes:
    """The row of a notification. The fields are those of schemas/avsc/delivery_state.avsc, instants in milliseconds.

    Nothing is checked but that texts are UTF-8 (UnicodeEncodeError). Raises KeyError for no phase of the contract,
    OverflowError beyond 64 bits.
    """
    if len(claims) == 1:  # as nearly all have: in one piece
        for device_id, provider, of_attempt, phase, claimed_at, reason in claims:
            device, name, why = device_id.encode(), provider.encode(), reason.encode()
            return b"".join(
                (
                    _HEADER,
                    write_long(admitted_at),
                    write_long(attempt),
                    b"\x01" if concluded else b"\x00",
                    write_long(at),
                    b"\x02",
                    write_bytes(device),
                    write_bytes(name),
                    write_long(of_attempt),
                    _PHASES[phase],
                    write_long(claimed_at),
                    write_bytes(why),
                    b"\x00",
                )
            )
    parts = [
        _HEADER,
        write_long(admitted_at),
        write_long(attempt),
        b"\x01" if concluded else b"\x00",
        write_long(at),
    ]
    if claims:
        parts.append(write_long(len(claims)))
        for device_id, provider, of_attempt, phase, claimed_at, reason in claims:
            parts += (
                write_bytes(device_id.encode()),
                write_bytes(provider.encode()),
                write_long(of_attempt),
                _PHASES[phase],
                write_long(claimed_at),
                write_bytes(reason.encode()),
            )
    parts.append(b"\x00")
    return b"".join(parts)
