"""Why was it sent, or not? From the statuses of a notification to a code, one sentence, and what it hangs on. Pure.

Every state has its explanation; the type checker sees to it that a new one gets one too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Literal, NamedTuple, Protocol, assert_never

from schemas.records import State
from streams.policies.capping import REASON as CAP_REASON
from streams.policies.local_time import iso_at

QUIET_REASON = "quiet hours"  # so begins what is said of a notification that they hold
Code = Literal[
    # on the way
    "ADMITTED",
    "SCHEDULED",
    "AWAITS_LOCAL_TIME",
    "HELD_BY_QUIET_HOURS",
    "HELD_BY_CAP",
    "HELD_BY_PROVIDER",
    "RELEASED",
    "SENDING",
    "ANSWERED",
    "RETRYING",
    # at the end
    "SENT",
    "SUPPRESSED_BY_SLOT",
    "SUPPRESSED_BY_CAP",
    "DUPLICATE",
    "EXPIRED",
    "CANCELLED",
    "OPTED_OUT",
    "NO_DEVICE",
    "UNKNOWN",
    "DEAD",
]
Origin = tuple[int, int]


class Step(NamedTuple):
    """One status, and its place on `statuses`. Instants in milliseconds since the epoch."""

    state: State
    reason: str
    at: int
    stage: str
    origin: Origin
    attempt: int
    provider: str | None
    device_id: str | None
    by: str | None
    until: int | None
    partition: int
    offset: int


class Explanation(NamedTuple):
    """Where a notification stands and why. `sentence` is about `it`, its id, and ends without a point.

    `by`: the notification that stands in its way, or stood; `of`: the event that was first, of a duplicate, as far as
    it is known. `final`: this is its end.
    """

    code: Code
    sentence: str
    final: bool
    at: int
    until: int | None = None
    by: str | None = None
    of: Origin | None = None


def origin_of(steps: Sequence[Step]) -> Origin:
    """Return which of the events of one id its story is about: the latest that is no duplicate of an earlier one."""
    assert steps, "a story has a status"
    for step in reversed(steps):
        if step.state != "DUPLICATE":
            return step.origin
    return steps[-1].origin


def explain(notification_id: str, steps: Sequence[Step], origin: Origin) -> Explanation:
    """Explain where one event stands, from all statuses of its id, in their order."""
    own = [step for step in steps if step.origin == origin]
    assert own, "an event that has no status is not asked about"
    # An answer for a device may be told after the end of an earlier attempt, and is no state of the whole.
    told = [step for step in own if step.state != "ATTEMPTED"] or own
    last = told[-1]
    it = notification_id or f"the event at notifications-{origin[0]}@{origin[1]}"
    until = None if last.until is None else iso_at(last.until, UTC)
    at = iso_at(last.at, UTC)
    attempt = f"attempt {last.attempt}"

    def found(code: Code, sentence: str, *, final: bool = False, of: Origin | None = None) -> Explanation:
        return Explanation(code, sentence, final, last.at, last.until, last.by, of)

    match last.state:
        case "ADMITTED":
            return found("ADMITTED", f"{it} was admitted at {at}, and waits to be sent until {until}")
        case "DEFERRED":
            return _deferred(it, last, found)
        case "RELEASED":
            return found("RELEASED", f"{it} was due at {at}, and waits to be decided on")
        case "SENDING":
            return found("SENDING", f"{it} is being sent, {attempt}: its answer is awaited")
        case "RETRYING":
            return found("RETRYING", f"{it} waits for its next attempt, due at {until}: {last.reason}")
        case "ATTEMPTED":
            return found("ANSWERED", f"{last.provider} has answered for {it}, {attempt}: {last.reason}")
        case "ACCEPTED":
            return found("SENT", f"{it} was sent: {_taken(own) or last.reason}, and that was noted at {at}", final=True)
        case "SUPPRESSED":
            return _suppressed(it, last, found)
        case "DUPLICATE":
            first = next((step.origin for step in steps if step.origin != origin), None)
            place = "" if first is None else f", read from notifications-{first[0]}@{first[1]}"
            sentence = f"{it} was not sent again: the same notification had come before{place} ({last.reason})"
            return found("DUPLICATE", sentence, final=True, of=first)
        case "EXPIRED":
            return found("EXPIRED", f"{it} was not sent, and expired at {at}: {last.reason}", final=True)
        case "CANCELLED":
            return found("CANCELLED", f"{it} was not sent, and was cancelled at {at}: {last.reason}", final=True)
        case "OPTED_OUT":
            return found("OPTED_OUT", f"{it} was not sent: {last.reason}", final=True)
        case "NO_DEVICE":
            return found("NO_DEVICE", f"{it} was not sent: {last.reason}", final=True)
        case "UNKNOWN":
            sentence = (
                f"{it} may have been sent: the request was written, and no answer proves what became of it "
                f"({last.reason}); it counts as sent, and is not sent again"
            )
            return found("UNKNOWN", sentence, final=True)
        case "DEAD":
            sentence = f"{it} was given up at {at}, and is on the dead letters: {last.reason}"
            return found("DEAD", sentence, final=True)
        case _:
            assert_never(last.state)


class _Found(Protocol):
    """What `found` above is, for the type checker."""

    def __call__(self, code: Code, sentence: str, *, final: bool = False, of: Origin | None = None) -> Explanation: ...


def _deferred(it: str, last: Step, found: _Found) -> Explanation:
    until = None if last.until is None else iso_at(last.until, UTC)
    if last.until is None:
        return found("AWAITS_LOCAL_TIME", f"{it} waits for when its local time is known: {last.reason}")
    if last.stage != "deliver" or last.reason.startswith("due at"):
        return found("SCHEDULED", f"{it} is scheduled for {until}")
    if last.reason.startswith(QUIET_REASON):
        return found("HELD_BY_QUIET_HOURS", f"{it} is held, and comes again at {until}: {last.reason}")
    if last.reason.startswith(CAP_REASON):
        by = "" if last.by is None else f"; the place of {last.by} must be free"
        return found("HELD_BY_CAP", f"{it} is held, and comes again at {until}: {last.reason}{by}")
    return found("HELD_BY_PROVIDER", f"{it} waits, and comes again at {until}: {last.reason}")


def _suppressed(it: str, last: Step, found: _Found) -> Explanation:
    until = None if last.until is None else iso_at(last.until, UTC)
    if last.stage == "deliver":
        sentence = f"{it} was not sent: {last.reason}, when the place of {last.by} is free"
        return found("SUPPRESSED_BY_CAP", sentence, final=True)
    sentence = f"{it} was not sent: {last.by} blocked its slot until {until} ({last.reason})"
    return found("SUPPRESSED_BY_SLOT", sentence, final=True)


def _taken(steps: Sequence[Step]) -> str:
    """Who took it, of the answers for its devices."""
    taken = [
        f"{step.provider} for {step.device_id}"
        for step in steps
        if step.state == "ATTEMPTED" and step.reason.startswith("ACCEPTED")
    ]
    if len(taken) > 3:
        taken = [*taken[:3], f"{len(taken) - 3} more"]
    return f"accepted by {', '.join(taken)}" if taken else ""


# --- the slot

SlotCode = Literal["FREE", "BLOCKED", "UNKNOWN_TYPE"]


class Holder(NamedTuple):
    """Who holds a place of a slot, and until when."""

    notification_id: str
    phase: Literal["HELD", "ACCEPTED", "UNKNOWN"]
    until: int


class SlotState(NamedTuple):
    """What blocks a slot now. `until`: from then on one is admitted; None: now."""

    code: SlotCode
    sentence: str
    until: int | None = None
    by: str | None = None


HELD_BECAUSE = {
    "HELD": "which is being sent",
    "ACCEPTED": "which was sent",
    "UNKNOWN": "which may have been sent",
}


def explain_slot(slot: str, limit: int | None, holders: Sequence[Holder]) -> SlotState:
    """Say what blocks a slot. `limit`: of its type, None: the types file has none. `holders`: those of now."""
    if limit is None:
        return SlotState("UNKNOWN_TYPE", f"the types file has no type of the slot {slot}")
    each = [
        f"{holder.notification_id}, {HELD_BECAUSE[holder.phase]}, until {iso_at(holder.until, UTC)}"
        for holder in holders
    ]
    if len(holders) < limit:
        if not holders:
            return SlotState("FREE", f"the slot {slot} is free")
        free = f"{limit - len(holders)} of {limit} places of the slot {slot} are free"
        return SlotState("FREE", f"{free}; the others are held by {' and by '.join(each)}")
    first = min(holders, key=lambda holder: holder.until)
    return SlotState(
        "BLOCKED", f"the slot {slot} is held by {' and by '.join(each)}", first.until, first.notification_id
    )
