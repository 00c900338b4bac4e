"""P1, P2 and the second half of P3 for one slot, from its whole history. Pure.

push a          push b                       P1: window 3600, limit 1: b - a >= 3600
|---------------|
claim  push                                  P2: the claim of exactly this push stands before it
|------|
admitted a     suppressed c                  P3: c was suppressed while a held the slot
|--------------|------------------|
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streams.audit.rows import ClaimRow, Origin, PushRow, Rules, SlotHistory, StatusRow, Violation
from streams.policies.identity import push_id

FREED_STATES = frozenset(("DEFERRED", "EXPIRED", "CANCELLED", "OPTED_OUT", "NO_DEVICE", "DEAD"))
ENDS_OF_HOLDS = FREED_STATES | {"ACCEPTED", "UNKNOWN"}
FIRST_STATES = frozenset(("ADMITTED", "DEFERRED", "SUPPRESSED", "EXPIRED", "DEAD"))


@dataclass(slots=True)
class Hold:
    """A slot that was held: since when, and what ended it. DEFERRED: quiet hours did."""

    admitted: StatusRow
    end: StatusRow | None = None


class Send(NamedTuple):
    """A send, or the earliest instant at which a possible one may have been."""

    at: int
    notification_id: str
    place: str


def check_slot(history: SlotHistory, rules: Rules, since: int, settle_ms: int) -> Iterator[Violation]:
    """Yield what is broken. `since`: before it, the record was not read, and its absence says nothing.

    `settle_ms`: how long a verdict may be under way that frees a slot.
    """
    yield from _windows(history, rules)
    if history.pushes is not None:
        yield from _claimed(history, history.pushes, rules, since)
        yield from _truthful(history, history.pushes)
    yield from _suppressions(history, rules, since, settle_ms)


def sends(history: SlotHistory) -> list[Send]:
    """Return the sends in order of time: from the push log where there is one, else the claims that may have become
    one, each at its earliest: the next one must keep its distance from any instant after it."""
    if history.pushes is not None:
        found = [Send(push.at, push.notification_id, push.place) for push in history.pushes]
        return sorted(found)
    unsent = {(claim.notification_id, claim.attempt) for claim in history.claims if claim.phase == "NOT_SENT"} - {
        (claim.notification_id, claim.attempt) for claim in history.claims if claim.phase in ("ACCEPTED", "UNKNOWN")
    }
    held = _before_holds(history.statuses)
    return sorted(
        Send(row.at, row.notification_id, row.place)
        for row in history.statuses
        if row.state == "SENDING" and (row.notification_id, row.attempt) not in unsent and row.place not in held
    )


def _before_holds(statuses: Sequence[StatusRow]) -> set[str]:
    """Return the places of claims that quiet hours stopped: only what was certainly not sent is held back by them."""
    claimed: dict[str, list[str]] = defaultdict(list)
    held: set[str] = set()
    for row in statuses:
        if row.state == "SENDING":
            claimed[row.notification_id].append(row.place)
        elif row.state == "DEFERRED":
            held.update(claimed.pop(row.notification_id, ()))
    return held


def _windows(history: SlotHistory, rules: Rules) -> Iterator[Violation]:
    """At most `limit` notifications in any stretch that is shorter than the window."""
    # Without the log, instants are those of several workers' clocks.
    window = rules.window_ms if history.pushes is not None else rules.window_ms - rules.skew_ms
    inside: deque[Send] = deque()
    ids: Counter[str] = Counter()
    for send in sends(history):
        while inside and send.at - inside[0].at >= window:
            gone = inside.popleft()
            ids[gone.notification_id] -= 1
            if not ids[gone.notification_id]:
                del ids[gone.notification_id]
        if send.notification_id not in ids and len(ids) >= rules.limit:
            first = inside[0]
            sentence = (
                f"{len(ids) + 1} notifications within {(send.at - first.at) / 1000:.3f} s, the window is "
                f"{rules.window_ms / 1000:g} s and its limit {rules.limit}: {first.notification_id} ({first.place}) "
                f"and {send.notification_id} ({send.place})"
            )
            yield Violation("P1", sentence, send.at, history.slot, (first.notification_id, send.notification_id))
        inside.append(send)
        ids[send.notification_id] += 1
    if history.pushes is None or rules.resend_unknown:
        return
    reached: dict[tuple[str, str, str], PushRow] = {}
    for push in history.pushes:
        before = reached.setdefault((push.notification_id, push.provider, push.address), push)
        if before is not push:
            sentence = f"{push.notification_id} was sent twice to one device: {before.place} and {push.place}"
            yield Violation("P1", sentence, push.at, history.slot, (push.notification_id,))


def _claimed(history: SlotHistory, pushes: Sequence[PushRow], rules: Rules, since: int) -> Iterator[Violation]:
    """Each push stands behind a committed claim for exactly it."""
    claims: dict[str, list[ClaimRow]] = defaultdict(list)
    pushed = {push.notification_id for push in pushes}
    for claim in history.claims:
        if claim.notification_id in pushed:
            claims[push_id(history.slot, claim.notification_id, claim.device_id)].append(claim)
    sending: dict[str, int] = {}
    for row in history.statuses:
        if row.state == "SENDING":
            sending[row.notification_id] = min(row.timestamp, sending.get(row.notification_id, row.timestamp))
    counts: Counter[str] = Counter()
    for push in pushes:
        if push.at < since:
            continue
        what = f"{push.notification_id} reached {push.provider} ({push.place})"
        # Older versions of a row are compacted away; what it says of SENDING is in the statuses too.
        known = claims.get(push.push_id, [])
        first = min((claim.timestamp for claim in known if claim.phase == "SENDING"), default=None)
        if first is None:
            first = sending.get(push.notification_id)
            if known == [] and any(claim.notification_id == push.notification_id for claim in history.claims):
                first = None
        if first is None:
            yield Violation("P2", f"{what} without a claim", push.at, history.slot, (push.notification_id,))
        elif first > push.at + rules.skew_ms:
            sentence = f"{what} {first - push.at} ms before its claim"
            yield Violation("P2", sentence, push.at, history.slot, (push.notification_id,))
        counts[push.push_id] += 1
        attempts = max((claim.attempt for claim in known), default=counts[push.push_id])
        if counts[push.push_id] > attempts:
            sentence = f"{what}, the {counts[push.push_id]}. time, and {attempts} attempts were claimed"
            yield Violation("P2", sentence, push.at, history.slot, (push.notification_id,))


def _truthful(history: SlotHistory, pushes: Sequence[PushRow]) -> Iterator[Violation]:
    """What is said for certain is so: what the log has is not "certainly not sent", what was accepted is in it."""
    shown = {push.push_id for push in pushes}
    phases: dict[tuple[str, str], set[str]] = defaultdict(set)
    last: dict[tuple[str, str], ClaimRow] = {}
    for claim in history.claims:
        phases[claim.notification_id, claim.device_id].add(claim.phase)
        last[claim.notification_id, claim.device_id] = claim
    for (notification_id, device_id), found in phases.items():
        claim = last[notification_id, device_id]
        in_log = push_id(history.slot, notification_id, device_id) in shown
        # Versions may be compacted away, so only what the last one says without doubt counts.
        if in_log and found <= {"SENDING", "NOT_SENT"} and claim.phase == "NOT_SENT":
            sentence = (
                f"{notification_id} reached device {device_id}, and is said to be certainly not sent ({claim.place})"
            )
            yield Violation("P1", sentence, claim.at, history.slot, (notification_id,))
        if "ACCEPTED" in found and not in_log:
            sentence = f"{notification_id} is said to be accepted for {device_id} ({claim.place}); no provider has it"
            yield Violation("P3", sentence, claim.at, history.slot, (notification_id,))


def _suppressions(history: SlotHistory, rules: Rules, since: int, settle_ms: int) -> Iterator[Violation]:
    """Nothing is suppressed but for a hold, a send or a possible send in its window, and no duplicate is a first."""
    holders: dict[str, list[Hold]] = defaultdict(list)
    firsts: dict[str, set[Origin]] = defaultdict(set)
    for row in history.statuses:
        known = holders.get(row.notification_id)
        if row.state == "ADMITTED":
            holders[row.notification_id].append(Hold(row))
        elif known and known[-1].end is None and (row.state in ENDS_OF_HOLDS or row.by_cap):
            known[-1].end = row
        if row.state in FIRST_STATES:
            firsts[row.notification_id].add(row.origin)
    slack = rules.skew_ms + settle_ms
    for row in history.statuses:
        # What was admitted and held back is no duplicate of itself when it comes again.
        if row.state == "DUPLICATE" and not firsts[row.notification_id] - {row.origin} and row.at - 86_400_000 > since:
            sentence = f"{row.notification_id} was dropped as a duplicate ({row.place}), and there is no other"
            yield Violation("P3", sentence, row.at, history.slot, (row.notification_id,), row.origin)
        if row.state != "SUPPRESSED" or row.by_cap:
            continue
        by = row.by or ""
        # Quiet hours free a slot, and their notification may be admitted once more: the last time before it counts.
        before = [hold for hold in holders[by] if hold.admitted.at <= row.at + rules.skew_ms]
        if not before and row.at - rules.window_ms - rules.hold_ms - settle_ms < since:
            continue  # it may have been admitted before what was read, and once more after it
        before = before or holders[by]
        wrong = ""
        if not before:
            wrong = f"{by or 'nobody'} is named as the reason and was never admitted"
        else:
            holder, end = before[-1].admitted, before[-1].end
            send_by = holder.until if holder.until is not None else holder.at
            # A request that started at the last moment and was never answered may have arrived that much later.
            freed = end is not None and (end.state in FREED_STATES or end.by_cap)
            latest = send_by if end is None or freed else max(send_by, end.at)
            if row.at + rules.skew_ms < holder.at:
                wrong = f"{by} was admitted only later ({holder.place})"
            elif row.until is None or row.until <= row.at or row.at > latest + rules.hold_ms + rules.skew_ms:
                wrong = f"the window of {by} was over"
            elif end is not None and freed and row.at > end.at + slack:
                wrong = f"{by} had ended as {end.state} ({end.place}) and was never sent"
        if wrong:
            sentence = f"{row.notification_id} was suppressed ({row.place}), but {wrong}"
            yield Violation("P3", sentence, row.at, history.slot, (by, row.notification_id), row.origin)
