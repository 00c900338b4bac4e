"""A broadcast in one partition: what a command makes of it, how fast it goes, do its counts agree, how long it lasts.

    users of a list ──→ LOADING ──start──→ RUNNING ──last user──→ DONE
                           │                │ ▲ │
                           │          pause │ │ │ resume         ended: nothing more is told, and
                           │                ▼ │ ▼                no command changes it
                           ├──cancel──────→ PAUSED ──cancel──→ CANCELLED
                           └──a day without a start──────────→ CANCELLED
                                            RUNNING, PAUSED ──expires_at──→ EXPIRED

Every partition decides for its own users. What all of them together are is only shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, NamedTuple

from streams.policies.pacing import Bucket, next_token_at, refill

Phase = Literal["LOADING", "RUNNING", "PAUSED", "DONE", "CANCELLED", "EXPIRED", "REFUSED"]
Action = Literal["PAUSE", "RESUME", "CANCEL"]
Whole = Literal["STARTING", "RUNNING", "PAUSED", "DONE", "CANCELLED", "EXPIRED", "REFUSED", "LOADING"]

ENDS: Final[tuple[Phase, ...]] = ("CANCELLED", "REFUSED", "EXPIRED", "DONE")  # of several, the first is the whole's
BURST_SECONDS: Final = 1.0  # of the pace may be saved up
STEP_SECONDS: Final = 0.5  # users of so much time are told in one step: a transaction is dear when it is small


def after(phase: Phase, action: Action) -> Phase:
    """What a command makes of a broadcast; what has ended stays as it is, and so does a list that was not started."""
    if action == "CANCEL":
        return "CANCELLED" if phase in ("LOADING", "RUNNING", "PAUSED") else phase
    if action == "PAUSE":
        return "PAUSED" if phase == "RUNNING" else phase
    return "RUNNING" if phase == "PAUSED" else phase


def whole(phases: Collection[Phase], partitions: int) -> Whole:
    """Where it stands as a whole, given where it stands in the partitions that know of it."""
    if "RUNNING" in phases:
        return "RUNNING"
    if "PAUSED" in phases:
        return "PAUSED"
    if phases and all(phase == "LOADING" for phase in phases):
        return "LOADING"
    if "LOADING" in phases or len(phases) < partitions:
        return "STARTING"
    return next(end for end in ENDS if end in phases)


class Counts(NamedTuple):
    """Users of one broadcast in one partition; the fields of schemas/avsc/broadcast_progress.avsc."""

    seen: int = 0
    matched: int = 0
    not_matched: int = 0
    emitted: int = 0

    def plus(self, other: Counts) -> Counts:
        """Return both together."""
        return Counts(*(mine + its for mine, its in zip(self, other, strict=True)))

    def difference(self, dry_run: bool) -> int:
        """Return by how much they contradict each other, 0: not at all."""
        wanted = 0 if dry_run else self.matched
        return abs(self.seen - self.matched - self.not_matched) + abs(self.emitted - wanted)


def room(bucket: Bucket, now: int, per_second: float) -> tuple[Bucket, int]:
    """Return the bucket as it is now, and how many may be told."""
    bucket = refill(bucket, now, per_second, BURST_SECONDS)
    return bucket, int(bucket.tokens)


def next_step_at(bucket: Bucket, per_second: float, users_max: int) -> int:
    """Return when it is worth the next step: with the users of `STEP_SECONDS`, or as many as one takes."""
    return next_token_at(bucket, per_second, max(1.0, min(per_second * STEP_SECONDS, users_max)))


class Pace(NamedTuple):
    """How one partition goes on: users still to be looked at, and how many it looked at per second of late."""

    left: int
    per_second: float


def seconds_left(paces: Mapping[int, Pace]) -> float | None:
    """Return how long the slowest partition still needs; None where one stands still."""
    if any(pace.left and not pace.per_second for pace in paces.values()):
        return None
    return max((pace.left / pace.per_second for pace in paces.values() if pace.left), default=0.0)
