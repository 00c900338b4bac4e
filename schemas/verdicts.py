"""Writes the many verdicts of one step, without a detour over dictionaries."""

from __future__ import annotations

from typing import Final, Literal

from schemas.contracts import CONTRACTS
from schemas.varint import write_long

VerdictOutcome = Literal["ACCEPTED", "UNKNOWN", "FREED"]

_OUTCOMES: Final[dict[str, bytes]] = {
    symbol: write_long(index)
    for field in CONTRACTS["Verdict"].schema["fields"]
    if field["name"] == "outcome"
    for index, symbol in enumerate(field["type"]["symbols"])
}


def write_verdict(header: bytes, notification: bytes, outcome: VerdictOutcome, at: int) -> bytes:
    """One Verdict as the value of a record. The fields are those of schemas/avsc/verdict.avsc.

    `header`: `Codec.header("Verdict", topic)`. `notification`: its first three fields, as `Subject.notification` has
    them. Nothing is checked. Raises KeyError for no outcome of the contract, OverflowError beyond 64 bits.
    """
    return b"".join((header, notification, _OUTCOMES[outcome], write_long(at)))
