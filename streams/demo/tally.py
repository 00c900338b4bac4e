"""Follows `statuses` and the simulators' push log, and checks at the end what was promised."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.records import FINAL_STATES


@dataclass(slots=True)
class Tally:
    """Counts by state, and which events have come to an end."""

    states: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    ended: dict[tuple[int, int], str] = field(default_factory=dict)
    ended_twice: list[tuple[int, int]] = field(default_factory=list)

    def add(self, status: dict[str, Any]) -> None:
        """Count one status."""
        state = status["state"]
        self.states[state] += 1
        if state == "ATTEMPTED" and status["reason"].startswith("ACCEPTED"):
            self.accepted[status["provider"]] += 1
        if state in FINAL_STATES:
            origin = (status["origin_partition"], status["origin_offset"])
            if origin in self.ended:
                self.ended_twice.append(origin)
            self.ended[origin] = state


@dataclass(frozen=True, slots=True)
class Check:
    """The answer to: was anything promised not kept? `failures` are sentences, empty if all is well."""

    slots: int
    pushes: int
    failures: list[str]


def check(
    tally: Tally, produced: Iterable[tuple[int, int]], identities: dict[str, tuple[str, str]], pushes: Path
) -> Check:
    """Check the record of the providers and of `statuses` against what was produced.

    The demo is shorter than any window, so that a slot may have been shown one notification only, on each of the user's
    devices once. `identities`: notification id to slot, for all that was produced.
    """
    failures: list[str] = []
    shown: dict[tuple[str, str], set[str]] = defaultdict(set)
    requests: Counter[tuple[str, str, str]] = Counter()
    lines = [json.loads(line) for line in pushes.read_text(encoding="utf-8").splitlines()] if pushes.exists() else []
    for line in lines:
        slot = identities.get(line["notification_id"])
        if slot is None:
            failures.append(f"a push for {line['notification_id']}, which nobody asked for")
            continue
        shown[slot].add(line["notification_id"])
        requests[line["provider"], line["address"], line["notification_id"]] += 1
    failures += [
        f"{user}:{kind} was sent {len(ids)} notifications" for (user, kind), ids in shown.items() if len(ids) > 1
    ]
    failures += [f"{key[2]} reached {key[0]} {count} times" for key, count in requests.items() if count > 1]
    if not lines:
        failures.append("no provider has seen any push")
    missing = [origin for origin in produced if origin not in tally.ended]
    if missing:
        failures.append(f"{len(missing)} events have no final state, the first at partition, offset {missing[0]}")
    if tally.ended_twice:
        failures.append(f"{len(tally.ended_twice)} events have two final states, the first {tally.ended_twice[0]}")
    return Check(len(shown), len(lines), failures)
