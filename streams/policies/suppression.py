"""The sliding window of one slot: may this notification be sent, and what holds the next one back.

The window runs from the send, not from the event. An admitted notification holds a place of its slot until
`send_by + grace + window`: the last instant at which a request may start, what covers the request itself and a process
that was paused, and then the window. A verdict makes that exact, or frees the place.

    admitted      send_by   +grace                      +window
    |--------------|---------|---------------------------|        held: nothing is known yet
            ^ accepted at t
            |---------------------------|                         accepted: t + window + clock skew
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

OTHER_TYPES: Final = "other"
SlotPhase = Literal["HELD", "ACCEPTED", "UNKNOWN"]
VerdictOutcome = Literal["ACCEPTED", "UNKNOWN", "FREED"]
Seen = Literal["FINAL", "DEFERRED"]


class SlotPolicy(NamedTuple):
    """The rules of one notification type. All durations in milliseconds.

    `limit` places: so many sends within any window. `skew_ms` is the most by which two workers' clocks may differ.
    `bulk`: what is admitted goes the way of what is sent when nothing else is to be. `label`: what it is counted as;
    all types that the types file does not name are one.
    """

    window_ms: int
    limit: int
    send_within_ms: int
    grace_ms: int
    skew_ms: int
    bulk: bool = False
    label: str = OTHER_TYPES


class Place(NamedTuple):
    """Who holds one place of a slot, or held it last; the fields are those of schemas/avsc/slot.avsc."""

    notification_id: bytes
    phase: SlotPhase
    blocked_until: int
    admitted_at: int
    send_by: int


class Admit(NamedTuple):
    """Send it: it takes the place with this number, the first being 0."""

    number: int
    place: Place


class Suppress(NamedTuple):
    """Drop it: every place is taken, the first one until `until`."""

    by: bytes
    phase: SlotPhase
    until: int


class Duplicate(NamedTuple):
    """Drop it: the same notification was seen before."""

    seen: Seen


class Defer(NamedTuple):
    """Not yet: it is due at `due_at`."""

    due_at: int


class Ask(NamedTuple):
    """Not known when: it is to be sent at a local time of its user, whose zone is not known here."""


class Expire(NamedTuple):
    """Drop it: it was useless from `expires_at` on, or could not be sent before."""

    expires_at: int


Decision = Admit | Suppress | Duplicate | Defer | Ask | Expire


def decide(
    notification_id: bytes,
    send_at: int | None,
    expires_at: int | None,
    places: Sequence[Place | None],
    seen: Seen | None,
    now: int,
    policy: SlotPolicy,
    released: bool = False,
    zone_unknown: bool = False,
) -> Decision:
    """Decide on one notification. Instants in milliseconds since the epoch.

    `places` are those of its slot, `policy.limit` of them, None where nobody ever was. `seen`: what is remembered of
    the same notification. `released`: it comes from the schedule, so that having been deferred is no reason to drop
    it. `zone_unknown`: instead of `send_at` it has a local time without a zone.
    """
    if seen is not None and not (released and seen == "DEFERRED"):
        return Duplicate(seen)
    if expires_at is not None and (expires_at <= now or (send_at is not None and expires_at <= send_at)):
        return Expire(expires_at)
    if send_at is not None and send_at > now and not released:
        return Defer(send_at)
    if zone_unknown and not released:
        return Ask()
    first: Place | None = None
    for number, place in enumerate(places):
        if place is None or place.blocked_until <= now:
            send_by = now + policy.send_within_ms
            if expires_at is not None and expires_at < send_by:
                send_by = expires_at
            blocked_until = send_by + policy.grace_ms + policy.window_ms + policy.skew_ms
            return Admit(number, Place(notification_id, "HELD", blocked_until, now, send_by))
        if first is None or place.blocked_until < first.blocked_until:
            first = place
    assert first is not None, "a slot has at least one place"
    return Suppress(first.notification_id, first.phase, first.blocked_until)


def settle(place: Place, outcome: VerdictOutcome, at: int, policy: SlotPolicy) -> Place | None:
    """Return what the place is after the verdict on its holder, None: free.

    `at` is the latest instant at which a request may have reached a provider. A verdict that is late or lost costs time
    and never the promise: until it comes, the place is held for longer than any send of its holder can matter.
    """
    if outcome == "FREED":
        return None
    return place._replace(phase=outcome, blocked_until=at + policy.window_ms + policy.skew_ms)
