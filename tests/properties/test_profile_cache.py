"""The cache of the user service against a model that remembers everything, and its bound."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from streams.policies.profiles import Lookup, NotFound, Profile, Unavailable, Unusable
from streams.profiles.cache import ENTRY_BYTES, ProfileCache

SECONDS = st.sampled_from([0.0, 1.0, 29.0, 30.0, 31.0, 99.0, 100.0])  # whole ones, so that nothing is rounded
USERS = st.sampled_from(["a", "b", "c", "d"])
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
    def a_user_is_erased(self, user: str) -> None:
        """Nothing is remembered of whom nobody may know."""
        self.cache.forget(user)
        self.said.pop(user, None)

    @rule(user=USERS)
    def somebody_looks(self, user: str) -> None:
        """The last answer is remembered for its time and not longer."""
        answer, at = self.said.get(user, (None, 0.0))
        seconds = FOUND_SECONDS if isinstance(answer, Profile) else OTHERS_SECONDS
        assert self.cache.get(user) == (answer if self.now < at + seconds else None)


TestCacheModel = CacheModel.TestCase


@example([(0, 10), (0, 5_000)])  # it has grown too large to be remembered: nor is the one before
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
