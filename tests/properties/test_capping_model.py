"""The frequency cap against a model that keeps everything and counts every window, millisecond by millisecond."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from streams.policies.capping import Cap, Capped, CapPlace, CapRules, Full, Go, TooLong, Wait, decide, settle, standing
from streams.policies.capping import take as taken

SKEW_MS = 2
SEND_WITHIN_MS = 12
GRACE_MS = 5
RULES = {
    "heeds": CapRules(),
    "counts not": CapRules(counts=False),
    "code": CapRules(ignores=True),
    "free": CapRules(counts=False, ignores=True),
}
CAPS = st.lists(
    st.builds(Cap, st.integers(1, 3), st.integers(1, 40)), min_size=1, max_size=3, unique_by=lambda cap: cap[1]
)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 15),  # time that passes before it
        st.sampled_from(sorted(RULES)),
        st.lists(st.integers(0, SEND_WITHIN_MS + GRACE_MS - 1), max_size=3),  # when its requests arrive, if any does
        st.sampled_from(["ACCEPTED", "UNKNOWN", "never told"]),
        st.integers(0, 30),  # from its last request to its end
    ),
    max_size=25,
)


@dataclass
class Sent:
    """A notification that was claimed. `latest`: the latest instant at which a request may arrive, as is known."""

    type: str
    claimed_at: int
    pushes: list[int]
    latest: int
    freed: bool = False


@dataclass
class Life:
    """One user, for whom notifications are claimed, sent and ended; `places` are those of the policy."""

    caps: tuple[Cap, ...]
    places: list[CapPlace] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    ends: list[tuple[int, int, str]] = field(default_factory=list)

    def end_those_until(self, now: int) -> None:
        """Note the outcomes that are known by now, in their order."""
        for at, number, outcome in sorted(self.ends):
            if at <= now:
                each = self.sent[number]
                latest = max(each.pushes, default=each.claimed_at)
                verdict = outcome if each.pushes else "FREED"
                if verdict == "FREED":
                    each.freed = True
                each.latest = latest
                who = Capped(each.type, f"n{number}", each.claimed_at)
                self.places = standing(settle(self.places, who, verdict, latest), at, self.caps, SKEW_MS)  # type: ignore[arg-type] # one of the three
        self.ends = [end for end in self.ends if end[0] > now]

    def standing_at(self, instant: int, cap: Cap) -> int:
        """How many stand in the way: all that ever was, counted."""
        return sum(
            RULES[each.type].counts and not each.freed and instant < each.latest + cap.window_ms + SKEW_MS
            for each in self.sent
        )

    def room_at(self, now: int) -> int:
        """The first instant at which every cap has room, if nothing more happens."""
        instant = now
        while any(self.standing_at(instant, cap) >= cap.limit for cap in self.caps):
            instant += 1
        return instant

    def ask(self, now: int, type: str, arrivals: list[int], outcome: str, told_after: int) -> None:
        """Somebody wants to send another one."""
        who = Capped(type, f"n{len(self.sent)}", now)
        decision = decide(self.places, who, False, RULES[type], now, self.caps, SKEW_MS, None, 0)
        room_at = self.room_at(now)
        if RULES[type].ignores or room_at == now:
            assert decision == Go()
        else:
            assert isinstance(decision, Full)
            assert decision.until == room_at
            return
        latest = now + SEND_WITHIN_MS + GRACE_MS
        pushes = [now + after for after in arrivals]
        self.sent.append(Sent(type, now, pushes, latest))
        if outcome != "never told":
            self.ends.append((max(pushes, default=now) + told_after, len(self.sent) - 1, outcome))
        if RULES[type].counts:
            self.places = standing(taken(self.places, who, latest), now, self.caps, SKEW_MS)


@given(CAPS, STEPS)
def test_no_window_ever_holds_more_and_nobody_is_turned_away_without_need(
    caps: list[Cap], steps: list[tuple[int, str, list[int], str, int]]
) -> None:
    """Whatever is claimed, arrives late, is never heard of again or is given back.

    claim a    arrives      told             every stretch of a window, counted: at most `limit`,
    |----------*------------|                but for what ignores the cap
    """
    life, now = Life(tuple(caps)), 0
    for wait, type, arrivals, outcome, told_after in steps:
        now += wait
        life.end_those_until(now)
        life.ask(now, type, arrivals, outcome, told_after)
    for cap in caps:
        heeding = [each for each in life.sent if not RULES[each.type].ignores]
        for start in range(now + SEND_WITHIN_MS + GRACE_MS + 1):
            inside = [each for each in heeding if any(start <= at < start + cap.window_ms for at in each.pushes)]
            counted = [each for each in inside if RULES[each.type].counts]
            assert len(counted) <= cap.limit, (cap, start, counted)


@given(CAPS, STEPS)
def test_what_is_kept_is_bounded_and_decides_as_if_all_were(
    caps: list[Cap], steps: list[tuple[int, str, list[int], str, int]]
) -> None:
    """No more settled places than the highest limit, whatever ignores the cap."""
    life, now = Life(tuple(caps)), 0
    for wait, type, arrivals, outcome, told_after in steps:
        now += wait
        life.end_those_until(now)
        life.ask(now, type, arrivals, outcome, told_after)
        settled = [place for place in life.places if not place.held]
        assert len(settled) <= max(cap.limit for cap in caps)
        assert len(life.places) - len(settled) <= len(life.sent)


@given(CAPS, st.lists(st.integers(0, 60), max_size=6), st.integers(0, 60), st.integers(1, 80), st.integers(0, 120))
def test_who_waits_is_released_when_there_is_room_and_before_it_is_of_no_use(
    caps: list[Cap], instants: list[int], now: int, hold_ms_max: int, expires_at: int
) -> None:
    """`until` is when all caps have room, and lies before `expires_at`; or the answer is that it is too long."""
    places = [CapPlace("t", f"n{number}", 0, False, at) for number, at in enumerate(instants) if at <= now]
    who = Capped("t", "z", now)
    decision = decide(places, who, False, CapRules(defers=True), now, caps, SKEW_MS, expires_at, hold_ms_max)
    plain = decide(places, who, False, CapRules(), now, caps, SKEW_MS, expires_at, hold_ms_max)
    assert isinstance(plain, Go) == isinstance(decision, Go)
    if isinstance(decision, Wait):
        assert isinstance(plain, Full)
        assert decision.until == plain.until
        assert now < decision.until < decision.expires_at == min(expires_at, now + hold_ms_max)
        assert decide(places, who, False, CapRules(), decision.until, caps, SKEW_MS, None, 0) == Go()
    elif isinstance(decision, TooLong):
        assert isinstance(plain, Full)
        assert plain.until >= min(expires_at, now + hold_ms_max)
