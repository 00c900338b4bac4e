"""The policy of the sliding window against a naive model that forgets nothing.

A run is a sequence of events, verdicts and pauses on one slot. The policy sees what the stage gives it: places, ids,
its own clock. The model sees what the policy can't: when each push really reached a provider, on a clock that no worker
has, and every place that was ever held.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.policies.suppression import (
    Admit,
    Defer,
    Duplicate,
    Expire,
    Place,
    Seen,
    SlotPolicy,
    Suppress,
    VerdictOutcome,
    decide,
    settle,
)

WINDOW_MS, SEND_WITHIN_MS, GRACE_MS, SKEW_MS = 1_000, 100, 30, 20
Fate = Literal["ACCEPTED", "UNKNOWN", "FREED", "LOST"]


@dataclass(frozen=True)
class Event:
    """An event. `fate`: what becomes of it if it is admitted; its push starts `after` per mille into what is allowed,
    the request takes up to `grace`, and the verdict comes `verdict_delay` later, on a clock that is `skew` off."""

    number: int
    send_in: int | None
    expires_in: int | None
    fate: Fate
    after: int
    takes: int
    verdict_delay: int
    verdict_twice: bool
    skew: int


@dataclass(frozen=True)
class Pause:
    """Time goes by."""

    ms: int


EVENTS = st.builds(
    Event,
    number=st.integers(0, 12),
    send_in=st.none() | st.integers(-50, 1_500),
    expires_in=st.none() | st.integers(-5, 2_000),
    fate=st.sampled_from(["ACCEPTED", "UNKNOWN", "FREED", "LOST"]),
    after=st.integers(0, 1_000),
    takes=st.integers(0, GRACE_MS),
    verdict_delay=st.sampled_from([0, 1, 50, 900, 1_200, 3_000]),
    verdict_twice=st.booleans(),
    skew=st.integers(-SKEW_MS, SKEW_MS),
)
PAUSES = st.builds(Pause, ms=st.sampled_from([0, 1, 10, 99, 100, 131, 500, 970, 999, 1_000, 1_020, 1_149, 1_150]))


@dataclass
class Verdict:
    """A verdict on its way."""

    arrives_at: int
    notification_id: bytes
    outcome: VerdictOutcome
    at: int


@dataclass
class Hold:
    """A place that was held: by whom, from when, and until when it may have mattered, as the model reckons."""

    notification_id: bytes
    since: int
    until: int


@dataclass
class World:
    """The slot as the policy keeps it, beside all that ever happened. Time is that of the deciding partition."""

    policy: SlotPolicy
    now: int = 10_000
    places: list[Place | None] = field(default_factory=list)
    seen: dict[bytes, Seen] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    deferred: list[tuple[int, Event]] = field(default_factory=list)
    sends: list[int] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    final: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places = [None] * self.policy.limit

    def pause(self, ms: int) -> None:
        """Let time go by; verdicts and releases happen when they are due."""
        end = self.now + ms
        while True:
            due = [verdict.arrives_at for verdict in self.verdicts] + [at for at, _ in self.deferred]
            following = min((at for at in due if at <= end), default=None)
            if following is None:
                break
            self.now = max(self.now, following)
            for verdict in [each for each in self.verdicts if each.arrives_at <= self.now]:
                self.verdicts.remove(verdict)
                self.settle(verdict)
            for at, event in [each for each in self.deferred if each[0] <= self.now]:
                self.deferred.remove((at, event))
                self.arrive(event, at, released=True)
        self.now = end

    def settle(self, verdict: Verdict) -> None:
        """As the stage does: the verdict counts for the place that its notification holds, if it holds one."""
        for number, place in enumerate(self.places):
            if place is not None and place.notification_id == verdict.notification_id and place.phase == "HELD":
                after = self.places[number] = settle(place, verdict.outcome, verdict.at, self.policy)
                hold = [each for each in self.holds if each.notification_id == verdict.notification_id][-1]
                hold.until = self.now if after is None else verdict.at + WINDOW_MS + SKEW_MS
                return

    def arrive(self, event: Event, due_at: int | None = None, released: bool = False) -> None:
        """Let the policy decide on an event, and check what it says against what the model knows."""
        notification_id = b"n%d" % event.number
        send_at = due_at if released else None if event.send_in is None else self.now + event.send_in
        expires_at = None if event.expires_in is None else self.now + event.expires_in
        seen = self.seen.get(notification_id)
        decision = decide(notification_id, send_at, expires_at, self.places, seen, self.now, self.policy, released)
        match decision:
            case Duplicate():
                assert seen is not None, "nothing is a duplicate that was never seen"
                return
            case Defer(due):
                assert due == send_at and due > self.now and not released
                self.seen[notification_id] = "DEFERRED"
                self.deferred.append((due, event))
                return
            case Suppress(by, _, until):
                # P3: as many places as there are stand in the way, and the one that is named is one of them.
                blocking = [hold for hold in self.holds if hold.until > self.now]
                assert len(blocking) >= self.policy.limit
                assert (by, until) in [(hold.notification_id, hold.until) for hold in blocking]
            case Expire():
                assert expires_at is not None and (expires_at <= self.now or (send_at or 0) >= expires_at)
            case Admit(number, place):
                assert place.send_by <= self.now + SEND_WITHIN_MS
                assert expires_at is None or place.send_by <= expires_at
                self.places[number] = place
                self.holds.append(Hold(notification_id, self.now, place.blocked_until))
                self.send(event, place)
        assert seen is None or released, "one event has one final state"
        self.seen[notification_id] = "FINAL"
        self.final[notification_id] = self.final.get(notification_id, 0) + 1

    def send(self, event: Event, place: Place) -> None:
        """The push of an admitted event, by a worker whose clock is `skew` ahead of the deciding one.

        By its own clock it starts no later than `send_by` and reaches the provider within `grace`.
        """
        earliest = self.now
        latest = max(earliest, place.send_by - event.skew)
        started_at = earliest + (latest - earliest) * event.after // 1_000
        reached_at = started_at + event.takes
        if event.fate != "FREED":
            self.sends.append(reached_at)
        if event.fate == "LOST":
            return
        # ACCEPTED is noted when the answer is here, UNKNOWN with the grace that it may still be under way for.
        noted_at = reached_at + event.skew + (GRACE_MS if event.fate == "UNKNOWN" else 0)
        for _ in range(1 + event.verdict_twice):
            arrives_at = max(self.now, reached_at) + event.verdict_delay
            self.verdicts.append(Verdict(arrives_at, b"n%d" % event.number, event.fate, noted_at))


@settings(max_examples=400, deadline=None)
@given(limit=st.integers(1, 3), actions=st.lists(EVENTS | PAUSES, max_size=40))
def test_no_window_ever_sees_more_sends_than_its_limit(limit: int, actions: list[Event | Pause]) -> None:
    """P1 and P3, for any events, verdicts that are late, lost or twice, and clocks that differ as much as they may.

        |------------- window -------------|            any window, wherever it starts,
    s1  *     s2                           *  s3        holds at most `limit` sends
    """
    world = World(SlotPolicy(WINDOW_MS, limit, SEND_WITHIN_MS, GRACE_MS, SKEW_MS))
    for action in actions:
        if isinstance(action, Pause):
            world.pause(action.ms)
        else:
            world.arrive(action)
    world.pause(10_000)
    sends = sorted(world.sends)
    for first, beyond in zip(sends, sends[limit:], strict=False):
        assert beyond - first >= WINDOW_MS, f"{limit + 1} sends within {beyond - first} ms: {sends}"
    assert set(world.final.values()) <= {1}
    assert set(world.seen.values()) <= {"FINAL"}, "what was deferred was released in the end"


@settings(max_examples=200, deadline=None)
@given(pauses=st.lists(st.integers(0, 700), min_size=5, max_size=60))
def test_a_steady_stream_is_not_held_back_for_longer_than_it_must(pauses: list[int]) -> None:
    """With verdicts that come at once, the gap between two sends is the window plus at most skew and one pause.

    a *-------- window --------|skew| x  x | b        the first event after the block passes
    """
    world = World(SlotPolicy(WINDOW_MS, 1, SEND_WITHIN_MS, GRACE_MS, SKEW_MS))
    for number, pause in enumerate(pauses):
        world.arrive(Event(number, None, None, "ACCEPTED", 0, 0, 0, False, 0))
        world.pause(pause)
    for first, following in zip(world.sends, world.sends[1:], strict=False):
        assert WINDOW_MS <= following - first <= WINDOW_MS + SKEW_MS + 700
