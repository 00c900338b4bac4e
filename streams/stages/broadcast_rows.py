"""The rows of the table `broadcasts`.

b <id>                            the Broadcast, as it came
s <id>                            how far it is: BroadcastProgress
l <size of the id> <id> <user>    a user of a list; empty
t <size of the id> <id> <number>  how a partition has ended, until all have: BroadcastReport
"""

from __future__ import annotations

from typing import Final, NamedTuple

from streams.policies.broadcasting import Counts, Phase
from streams.stages.broadcast_records import PLAIN_CODEC

BROADCASTS: Final = b"b"
PROGRESS: Final = b"s"
LISTS: Final = b"l"
ENDED: Final = b"t"


class Progress(NamedTuple):
    """How far a broadcast is; the fields of schemas/avsc/broadcast_progress.avsc."""

    phase: Phase
    reason: str
    started_at: int
    changed_at: int
    cursor: bytes = b""
    counts: Counts = Counts()
    rows: int = 0
    users: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is told."""
        return self.phase not in ("LOADING", "RUNNING", "PAUSED")


def broadcast_key(broadcast_id: str) -> bytes:
    """Return the key of a Broadcast."""
    return BROADCASTS + broadcast_id.encode()


def progress_key(broadcast_id: str) -> bytes:
    """Return the key of how far it is."""
    return PROGRESS + broadcast_id.encode()


def list_prefix(broadcast_id: str) -> bytes:
    """Return what the keys of the users of its list begin with."""
    return _sized(LISTS, broadcast_id)


def ended_key(broadcast_id: str, partition: int) -> bytes:
    """Return the key of how a partition has ended."""
    return _sized(ENDED, broadcast_id) + partition.to_bytes(2, "big")


def _sized(prefix: bytes, broadcast_id: str) -> bytes:
    name = broadcast_id.encode()
    return prefix + len(name).to_bytes(2, "big") + name


def end_of(prefix: bytes) -> bytes:
    """Return the first key after all that begin with this prefix, which must not be all `FF`."""
    prefix = prefix.rstrip(b"\xff")
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def write_progress(progress: Progress) -> bytes:
    """Write a row."""
    record = progress._asdict()
    counts: Counts = record.pop("counts")
    return PLAIN_CODEC.encode("BroadcastProgress", {**record, **counts._asdict()})


def read_progress(row: bytes) -> Progress:
    """Read a row. Raises PoisonError: state that cannot be read is a reason to stop."""
    record = PLAIN_CODEC.decode_own(row, "BroadcastProgress")
    counts = Counts(*(record.pop(name) for name in Counts._fields))
    return Progress(counts=counts, **record)
