"""The circuit breaker and the cache of the user service against models that remember everything."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streams.policies.circuit import Circuit, CircuitPolicy, answered, asked, closed_in, failed
from streams.policies.profiles import Lookup, NotFound, Profile, Unavailable, Unusable
from streams.profiles.cache import ENTRY_BYTES, ProfileCache

POLICY = CircuitPolicy(3, 50.0)
SECONDS = st.sampled_from([0.0, 1.0, 10.0, 49.0, 50.0, 51.0, 600.0])  # whole ones, so that nothing is rounded
USERS = st.sampled_from(["a", "b", "c", "d"])


class CircuitModel(RuleBasedStateMachine):
    """Requests start and end in any order. The model keeps all that happened."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit, self.now = Circuit(), 0.0
        self.under_way = 0
        self.failures_in_a_row = 0
        self.opened_at: float | None = None
        self.left_at: list[float] = []

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        """The clock goes on."""
        self.now += seconds

    @rule()
    def somebody_asks(self) -> None:
        """A request leaves where it may."""
        if closed_in(self.circuit, self.now) > 0:
            assert self.opened_at is not None, "a closed circuit lets everybody pass"
            return
        self.circuit = asked(self.circuit, POLICY, self.now)
        self.under_way += 1
        if self.opened_at is not None:
            self.left_at.append(self.now)

    @rule()
    def one_is_answered(self) -> None:
        """Whenever it was sent, an answer shows that the service is there."""
        if self.under_way:
            self.under_way -= 1
            self.circuit = answered()
            self.failures_in_a_row, self.opened_at, self.left_at = 0, None, []

    @rule(wait_seconds=st.sampled_from([0.0, 0.0, 300.0]))
    def one_fails(self, wait_seconds: float) -> None:
        """Any number of them in a row."""
        if self.under_way:
            self.under_way -= 1
            self.circuit = failed(self.circuit, POLICY, self.now, wait_seconds)
            self.failures_in_a_row += 1
            if self.failures_in_a_row >= POLICY.failures_max and self.opened_at is None:
                self.opened_at = self.now

    @rule()
    def one_is_lost(self) -> None:
        """Nobody notes how it ended, as when its worker ends."""
        self.under_way = max(0, self.under_way - 1)

    @invariant()
    def it_is_open_after_failures_in_a_row_and_only_then(self) -> None:
        """And never for longer than its time or what was asked for, whatever becomes of probes."""
        assert (self.circuit.open_until is not None) == (self.opened_at is not None)
        assert closed_in(self.circuit, self.now) <= 300.0

    @invariant()
    def probes_are_few(self) -> None:
        """While it is open, one request for each period."""
        assert all(later - earlier >= POLICY.open_seconds for earlier, later in pairwise(self.left_at))


TestCircuitModel = CircuitModel.TestCase

FOUND_SECONDS, OTHERS_SECONDS = 100.0, 30.0
VALUES = st.dictionaries(st.sampled_from(["name", "city"]), st.text(max_size=40), max_size=2)
ANSWERS: st.SearchStrategy[Lookup] = st.one_of(
    VALUES.map(Profile), st.just(NotFound("404")), st.just(Unusable("odd")), st.just(Unavailable("down"))
)


class CacheModel(RuleBasedStateMachine):
    """What was said last of each user, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.cache = ProfileCache(10**6, FOUND_SECONDS, OTHERS_SECONDS, lambda: self.now)
        self.said: dict[str, tuple[Lookup, float]] = {}

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        """The clock goes on."""
        self.now += seconds

    @rule(user=USERS, answer=ANSWERS)
    def the_service_answers(self, user: str, answer: Lookup) -> None:
        """That it does not answer says nothing of the user."""
        self.cache.put(user, answer)
        if not isinstance(answer, Unavailable):
            self.said[user] = (answer, self.now)

    @rule(user=USERS)
    def somebody_looks(self, user: str) -> None:
        """The last answer is remembered for its time and not longer."""
        answer, at = self.said.get(user, (None, 0.0))
        seconds = FOUND_SECONDS if isinstance(answer, Profile) else OTHERS_SECONDS
        assert self.cache.get(user) == (answer if self.now < at + seconds else None)


TestCacheModel = CacheModel.TestCase


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5_000)), max_size=60))
def test_the_cache_never_holds_more_than_its_bound(answers: list[tuple[int, int]]) -> None:
    """However large the profiles are; one that is larger than all of it is not remembered."""
    bytes_max = 20_000
    cache = ProfileCache(bytes_max, 1e9, 1e9, lambda: 0.0)
    sizes: dict[str, int] = {}
    for user, size in answers:
        cache.put(str(user), Profile({"name": "x" * size}))
        cache.put(f"missing-{user}", NotFound("404"))
        sizes[str(user)] = size
    held = [sizes[user] for user in sizes if isinstance(cache.get(user), Profile)]
    assert sum(ENTRY_BYTES + 4 * size for size in held) <= bytes_max
    assert cache.users <= bytes_max // ENTRY_BYTES * 2
