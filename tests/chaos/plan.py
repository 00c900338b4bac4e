"""The plan of one run: which fault strikes when, and whom. A function of the seed alone. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

PROVIDERS: Final = ("apns", "fcm", "webpush", "webhook")

# Faults of a provider, with the share of requests that they hit. Those that leave an outcome unknown hit few: what is
# unknown is not sent again, and a run in which all is unknown shows little.
PROVIDER_FAULTS: Final[dict[str, float]] = {
    "slow": 1.0,
    "throttle": 0.5,
    "unavailable": 0.2,
    "unavailable_but_delivered": 0.2,
    "internal": 0.1,
    "refuse_connection": 0.5,
    "reset_before": 0.1,
    "reset_after_accept": 0.1,
    "hang": 0.1,
    "hang_before": 0.1,
    "refuse_stream": 0.5,
    "reset_stream": 0.1,
    "goaway_every": 1.0,
}
# Not processed or processed, the client can't tell.
UNKNOWN_MAKERS: Final = frozenset(
    (
        "unavailable",
        "unavailable_but_delivered",
        "internal",
        "reset_before",
        "reset_after_accept",
        "hang",
        "hang_before",
        "reset_stream",
    )
)

# What may happen in each matrix, and how often compared with the others.
MATRICES: Final[dict[str, dict[str, int]]] = {
    "short": {"kill": 2, "kill_wipe": 1, "pause": 2, "broker": 1, "cut": 1, "provider": 5},
    "long": {
        "kill": 4,
        "kill_wipe": 3,
        "pause": 4,
        "leave": 2,
        "rolling": 1,
        "broker": 2,
        "cut": 3,
        "reset": 1,
        "clock": 2,
        "clock_far": 1,
        "disk_full": 1,
        "burst": 2,
        "provider": 12,
    },
}
# How long each lasts, seconds from and to.
SECONDS: Final[dict[str, tuple[float, float]]] = {
    "kill": (0.0, 3.0),
    "kill_wipe": (0.0, 8.0),
    "pause": (5.0, 30.0),
    "leave": (1.0, 10.0),
    "rolling": (0.0, 0.0),
    "broker": (0.5, 8.0),
    "cut": (3.0, 20.0),
    "reset": (1.0, 5.0),
    "clock": (10.0, 20.0),
    "clock_far": (8.0, 15.0),
    "disk_full": (3.0, 8.0),
    "burst": (0.0, 0.0),
    "provider": (3.0, 12.0),
}
# The first ones of a short run, so that each run has them.
MUST: Final[tuple[str, ...]] = ("kill", "pause", "broker", "provider")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `at`: seconds after the first event. `worker`: its number; `name`: the provider's own fault."""

    at: float
    kind: str
    seconds: float
    worker: int = 0
    provider: str = ""
    name: str = ""
    seed: int = 0

    def __str__(self) -> str:
        what = f"{self.provider} {self.name}" if self.kind == "provider" else f"worker {self.worker + 1}"
        return f"{self.at:6.1f} s {self.kind} {'' if self.kind in ('broker', 'burst') else what} {self.seconds:.1f} s"


def plan_faults(seed: int, count: int, seconds: float, workers: int, matrix: str) -> list[Fault]:
    """Return `count` faults spread over `seconds`, in their order. The same arguments give the same plan."""
    chance = random.Random(f"faults {seed}")
    # A matrix may also be one kind, to look at it alone.
    kinds = MATRICES.get(matrix) or {matrix: 1}
    chosen = [kind for kind in MUST if kind in kinds][:count]
    chosen += chance.choices(list(kinds), list(kinds.values()), k=max(0, count - len(chosen)))
    chance.shuffle(chosen)
    # One in each stretch of the same length: chance decides how they overlap, not whether there is room for any work.
    starts = [(0.05 + 0.9 * (number + chance.random()) / len(chosen)) * seconds for number in range(len(chosen))]
    return [_fault(chance, at, kind, workers, matrix) for at, kind in zip(starts, chosen, strict=True)]


def _fault(chance: random.Random, at: float, kind: str, workers: int, matrix: str) -> Fault:
    shortest, longest = SECONDS[kind]
    if matrix == "short":
        longest = min(longest, shortest + 7)
    lasting = chance.uniform(shortest, longest)
    worker, provider, name = chance.randrange(workers), chance.choice(PROVIDERS), chance.choice(list(PROVIDER_FAULTS))
    return Fault(at, kind, lasting, worker, provider, name, chance.randrange(1 << 30))
