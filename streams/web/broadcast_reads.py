"""What is known of broadcasts, as JSON: the part of one worker, and what the parts of all workers are together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from schemas.records import Broadcast
from streams.policies.broadcasting import Counts, Pace, Phase, seconds_left, whole
from streams.stages.broadcast import BroadcastDecider
from streams.stages.broadcast_book import Broadcasting
from streams.stages.broadcast_records import PLAIN_CODEC

Deciders = Mapping[int, BroadcastDecider]
Part = dict[str, Any]
"""`partitions`: those of the worker. `broadcasts`: by id, then by partition, what `_shown` gives."""


def part_of(deciders: Deciders, now: int, broadcast_id: str | None = None) -> Part:
    """Return what this worker knows: of one broadcast, or of all."""
    found: dict[str, dict[str, Any]] = {}
    for partition, decider in deciders.items():
        book = decider.book
        if broadcast_id is None:
            known = [*book.ended.values(), *book.unfinished.values()]
        else:
            one = book.find(broadcast_id)
            known = [] if one is None else [one]
        for each in known:
            found.setdefault(each.broadcast_id, {})[str(partition)] = _shown(each, now)
    return {"partitions": sorted(deciders), "broadcasts": found}


def _shown(each: Broadcasting, now: int) -> dict[str, Any]:
    progress, of_late = each.progress, each.per_second(now)
    shown: dict[str, Any] = {
        "state": progress.phase,
        "reason": progress.reason,
        "started_at": progress.started_at,
        "changed_at": progress.changed_at,
        "users": progress.users,
        **progress.counts._asdict(),
        "seen_per_second": of_late.seen,
        "told_per_second": of_late.emitted,
    }
    return shown | ({"waits_for": each.waits_for} if each.waits_for else {})


def definition_of(deciders: Deciders, broadcast_id: str) -> Broadcast | None:
    """Return a Broadcast as it was asked for; None: no partition of this worker has been told of it."""
    for decider in deciders.values():
        row = decider.book.rows([broadcast_id])[0]
        if row is not None:
            return cast(Broadcast, PLAIN_CODEC.decode_own(row, "Broadcast"))
    return None


def merged(parts: Sequence[Part], partitions: int) -> dict[str, dict[int, dict[str, Any]]] | None:
    """Return by id, then by partition, what all workers know; None where a partition is missing or there twice."""
    numbers = sorted(number for part in parts for number in part["partitions"])
    if numbers != list(range(partitions)):
        return None
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for part in parts:
        for broadcast_id, by_partition in part["broadcasts"].items():
            found.setdefault(broadcast_id, {}).update((int(number), shown) for number, shown in by_partition.items())
    return found


def summary(broadcast_id: str, shown: Mapping[int, dict[str, Any]], partitions: int) -> dict[str, Any]:
    """Return where a broadcast stands as a whole. `users` is null until all partitions have counted theirs."""
    state = whole([cast(Phase, each["state"]) for each in shown.values()], partitions)
    users = [each["users"] for each in shown.values()]
    counted = len(users) == partitions and None not in users
    latest = max(shown.values(), key=lambda each: each["changed_at"])
    document: dict[str, Any] = {
        "broadcast_id": broadcast_id,
        "state": state,
        "reason": latest["reason"],
        "started_at": min(each["started_at"] for each in shown.values()),
        "changed_at": latest["changed_at"],
        "users": sum(users) if counted else None,
        **{name: sum(each[name] for each in shown.values()) for name in Counts._fields},
    }
    if state == "RUNNING":
        running = {number: each for number, each in shown.items() if each["state"] == "RUNNING"}
        paces = {
            number: Pace(each["users"] - each["seen"], each["seen_per_second"])
            for number, each in running.items()
            if each["users"] is not None
        }
        document["told_per_second"] = sum(each["told_per_second"] for each in running.values())
        document["seconds_left"] = seconds_left(paces) if counted else None
        waits = sorted({each["waits_for"] for each in running.values() if "waits_for" in each})
        if waits:
            document["waits_for"] = waits
    return document


def is_the_same(known: Broadcast, asked: Broadcast) -> bool:
    """Whether two broadcasts of one id would tell the same."""
    passing = ("requested_at", "requested_by")
    return all(known.get(name) == value for name, value in asked.items() if name not in passing)
