"""What becomes of a dead letter that is replayed: the record for `notifications`, or why there can be none. Pure.

A letter tells of a notification that certainly was not sent, so its slot is free, and the replay contends for it anew
as any other event: the window is kept by the slot and not by ids. What suppress gave up was never admitted: it goes
back byte for byte. What deliver gave up was admitted, and its id is remembered as final: it goes back under an id that
is derived from the old one, and is the same each time, so that suppress knows a second replay as a duplicate.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from schemas.keys import NOTIFICATION_ID_BYTES_MAX

REPLAYS_HEADER = "ringonce-replays"
REPLAYS_MAX = 3  # a record that died so often under replay needs a person, not another replay
_DERIVED = re.compile(r"(.*)~replay\.(\d{1,6})", re.DOTALL)
_REACHED = re.compile(r"attempt \d+ \S+ .*: (ACCEPTED|UNKNOWN|SENDING) ", re.DOTALL)
_HASH_CHARACTERS = 32


class Again(NamedTuple):
    """Replay it: `replays` is the how-manieth this is; `notification_id` is None where it keeps its bytes."""

    replays: int
    notification_id: str | None


class Refused(NamedTuple):
    """Do not replay it."""

    reason: str


def replay_of(
    notification_id: str | None,
    admitted: bool,
    headers: Sequence[tuple[str, bytes | None]],
    history: Sequence[str],
    force: bool = False,
) -> Again | Refused:
    """Decide on one letter whose record is whole. `admitted`: suppress had let it pass."""
    if any(_REACHED.match(line) for line in history):
        return Refused("a device has it, or may have it: another push would be one too many")
    if admitted and notification_id is None:
        return Refused("it cannot be read: mend it, and publish it anew")
    replays = max(_count(headers), _split(notification_id or "")[1])
    if replays >= REPLAYS_MAX and not force:
        return Refused(f"it was replayed {replays} times and died again; --force replays it all the same")
    return Again(replays + 1, derived_id(notification_id or "", replays + 1) if admitted else None)


def derived_id(notification_id: str, replays: int) -> str:
    """Return the id of the replay with this number: the original one with a suffix, or its hash where that is long."""
    original, _ = _split(notification_id)
    suffix = f"~replay.{replays}"
    if len((original + suffix).encode()) > NOTIFICATION_ID_BYTES_MAX:
        original = hashlib.blake2b(original.encode(), digest_size=_HASH_CHARACTERS // 2).hexdigest()
    return original + suffix


def _split(notification_id: str) -> tuple[str, int]:
    derived = _DERIVED.fullmatch(notification_id)
    return (derived[1], int(derived[2])) if derived else (notification_id, 0)


def _count(headers: Sequence[tuple[str, bytes | None]]) -> int:
    """The number that the last replay noted; what is no number counts as none."""
    for name, value in headers:
        if name == REPLAYS_HEADER and value is not None and value.isdigit() and len(value) <= 6:
            return int(value)
    return 0
