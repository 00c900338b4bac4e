"""The frequency cap of one user over all types: is there room for one more, and if not, when is there? Pure.

Beside the window of its slot a notification takes a place of each cap, from its first claim on: for all of its devices
and attempts one. It holds the place until it has ended, then for the window after the latest instant at which a request
of it may have arrived. One that certainly was not sent gives its place back.

    claimed       send_by   +grace                      +window
    |--------------|---------|---------------------------|        held: nothing is known yet
            ^ accepted at t
            |---------------------------|                         accepted: t + window + clock skew
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Literal, NamedTuple

from streams.policies.local_time import iso_at

REASON = "the cap of "  # so begins what is said of a notification for which there was no room
HELD_MAX = 100  # places of one user that may be given back; types that ignore the cap could hold any number


class Cap(NamedTuple):
    """At most so many notifications of one user, over all types, in any window."""

    limit: int
    window_ms: int


class CapRules(NamedTuple):
    """What one type has to do with the caps. `counts`: it takes a place. `ignores`: it is sent without one being free.
    `defers`: it waits for one, and is not suppressed."""

    counts: bool = True
    ignores: bool = False
    defers: bool = False


class Capped(NamedTuple):
    """The notification that is asked about: `admitted_at` tells it from an earlier one with the same id."""

    type: str
    notification_id: str
    admitted_at: int


class CapPlace(NamedTuple):
    """A place that is taken; the fields are those of CapPlace in schemas/avsc/cap_state.avsc.

    `held`: it has not ended, and may give the place back. `at`: the latest instant at which a request of it may arrive.
    """

    type: str
    notification_id: str
    admitted_at: int
    held: bool
    at: int

    def is_of(self, notification: Capped) -> bool:
        """Whether this notification holds it."""
        return self.held and self[:3] == notification


class Go(NamedTuple):
    """Claim it."""


class Full(NamedTuple):
    """Do not send it: there is no room until `until`, when the place of the notification `by` is free."""

    until: int
    by: str
    reason: str


class Wait(NamedTuple):
    """Not now: there is room at `until`, unless others are quicker. From `expires_at` on it is of no use."""

    until: int
    expires_at: int
    reason: str


class TooLong(NamedTuple):
    """Not at all: when there is room, it is of no use any more."""

    reason: str


def decide(
    places: Sequence[CapPlace],
    notification: Capped,
    sent_before: bool,
    rules: CapRules,
    now: int,
    caps: Sequence[Cap],
    skew_ms: int,
    expires_at: int | None,
    hold_ms_max: int,
) -> Go | Full | Wait | TooLong:
    """Decide right before a claim. Instants in milliseconds since the epoch.

    `places` are those that the user's notifications have taken. `sent_before`: an earlier attempt of this one may have
    arrived, so that it is counted already. `hold_ms_max`: for longer it does not wait.
    """
    if rules.ignores or sent_before or any(place.is_of(notification) for place in places):
        return Go()
    full = _fullest(places, now, caps, skew_ms)
    if full is None:
        return Go()
    cap, place = full
    until = place.at + cap.window_ms + skew_ms
    reason = f"{REASON}{cap.limit} in {cap.window_ms // 1000} s is reached until {iso_at(until, UTC)}"
    if not rules.defers:
        return Full(until, place.notification_id, reason)
    wait_until = now + hold_ms_max
    if expires_at is not None and expires_at <= wait_until:
        if expires_at <= until:
            return TooLong(f"{reason}, and of no use after {iso_at(expires_at, UTC)}")
        return Wait(until, expires_at, reason)
    if wait_until <= until:
        return TooLong(f"{reason}, and held for at most {hold_ms_max // 1000} s")
    return Wait(until, wait_until, reason)


def _fullest(places: Sequence[CapPlace], now: int, caps: Sequence[Cap], skew_ms: int) -> tuple[Cap, CapPlace] | None:
    """The cap without room that has room last, and the place that must be free before; None: there is room in all."""
    found: tuple[Cap, CapPlace] | None = None
    for cap in caps:
        after = now - cap.window_ms - skew_ms
        standing = sorted((place.at, place) for place in places if place.at > after)
        # Types that ignore it may have taken more places than there are: all but limit - 1 must be free.
        if len(standing) >= cap.limit:
            place = standing[-cap.limit][1]
            if found is None or place.at + cap.window_ms > found[1].at + found[0].window_ms:
                found = cap, place
    return found


def take(places: Sequence[CapPlace], notification: Capped, latest_at: int) -> list[CapPlace]:
    """Return the places after this notification was claimed. `latest_at`: no request of it arrives later."""
    if any(place.is_of(notification) for place in places):
        return list(places)
    taken = [*places, CapPlace(*notification, True, latest_at)]
    held = [number for number, place in enumerate(taken) if place.held]
    if len(held) > HELD_MAX:
        # It cannot be given back any more: that costs time, and never the promise.
        taken[held[0]] = taken[held[0]]._replace(held=False)
    return taken


def settle(
    places: Sequence[CapPlace], notification: Capped, outcome: Literal["ACCEPTED", "UNKNOWN", "FREED"], at: int
) -> list[CapPlace]:
    """Return the places after this notification has ended. `at`: the latest instant at which it may have arrived."""
    ended = [place for place in places if place.is_of(notification)]
    if not ended:
        return list(places)
    kept = [place for place in places if place is not ended[0]]
    return kept if outcome == "FREED" else [*kept, ended[0]._replace(held=False, at=at)]


def standing(places: Sequence[CapPlace], now: int, caps: Sequence[Cap], skew_ms: int) -> list[CapPlace]:
    """Return what still matters: the places that may be given back, and of those that stay the last, as many as the
    highest limit."""
    after = now - max((cap.window_ms for cap in caps), default=0) - skew_ms
    held = [place for place in places if place.held and place.at > after]
    stay = [place for place in places if not place.held and place.at > after]
    limit = max((cap.limit for cap in caps), default=0)
    if len(stay) > limit:
        stay = sorted(stay, key=lambda place: place.at)[len(stay) - limit :]
    return held + stay


def over_at(places: Sequence[CapPlace], caps: Sequence[Cap], skew_ms: int) -> int:
    """When none of the places matters any more."""
    window_ms = max((cap.window_ms for cap in caps), default=0)
    return max((place.at for place in places), default=0) + window_ms + skew_ms
