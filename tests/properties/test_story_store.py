"""The rows of stories, on a real RocksDB, against a model that keeps every status in a list."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.records import State
from schemas.statuses import StatusWriter
from streams.lane.table import StoreBudget
from streams.stories.keys import inverse, name_part, read_head, read_holder, read_inverse, read_origin, sized
from streams.stories.rows import STEPS_MAX, STEPS_OF_THE_END, Told
from streams.stories.store import StoryStore

HOUR = 3_600_000
NOW = 1_800_000_000_000
KEEP = 24 * HOUR
# Names that a key without lengths would mix up.
USERS = (b"tenant", b"tenant:1", b"tenant:1:news", b"t", b"\x00", b"ten\xc3\xa4nt")
KINDS = (b"news", b"1", b"1.news", b"n")
IDS = (b"a", b"aa", b"\x00", b"a\x00\x00", b"")
SUPPRESSED: State = "SUPPRESSED"


class Written(NamedTuple):
    """A status as a test writes it, and the record that it is."""

    offset: int
    key: bytes
    value: bytes
    user: bytes
    kind: bytes
    notification_id: bytes
    state: State
    stage: str
    at: int
    by: bytes | None
    origin: tuple[int, int]


def written(
    offset: int,
    user: bytes,
    kind: bytes,
    notification_id: bytes,
    state: State,
    stage: str = "suppress",
    at: int = NOW,
    by: bytes | None = None,
    origin: tuple[int, int] = (3, 17),
) -> Written:
    """Write a status as the stages do."""
    key = user + b":" + kind
    by = by if by is not None or state != SUPPRESSED else b"a"
    value = StatusWriter(stage, at, origin[0]).write(
        notification_id, key, state, b"why", origin[1], by_notification_id=by, until=None if by is None else NOW
    )
    return Written(offset, key, value, user, kind, notification_id, state, stage, at, by, origin)


@contextmanager
def opened(folder: str | Path) -> Iterator[StoryStore]:
    """The store in a folder, as it was left."""
    store = StoryStore(Path(folder) / "3.db", 3, StoreBudget().options, KEEP, Codec())
    store.look(NOW)
    try:
        yield store
    finally:
        store.close()


def name_of(each: Written) -> bytes:
    """As what it is told of."""
    return name_part(each.notification_id, each.origin)


STATUSES = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.sampled_from(KINDS),
        st.sampled_from(IDS),
        st.sampled_from(get_args(State)),
        st.sampled_from(("suppress", "schedule", "deliver")),
        st.integers(NOW - KEEP, NOW + HOUR),
        st.sampled_from((b"a", b"aa", b"\x00")),
    ),
    max_size=60,
)


def in_order(drawn: Sequence[tuple[bytes, bytes, bytes, State, str, int, bytes]]) -> list[Written]:
    """Statuses in the order of their instants, as suppress writes them."""
    found = []
    for offset, (user, kind, notification_id, state, stage, at, by) in enumerate(
        sorted(drawn, key=lambda each: each[5])
    ):
        holder = by if state == SUPPRESSED else None
        found.append(written(10 * offset, user, kind, notification_id, state, stage, at, holder, (3, offset)))
    return found


@settings(max_examples=60, deadline=None)
@given(STATUSES, st.lists(st.integers(1, 20), max_size=20), st.integers(0, 5))
def test_whatever_is_told_is_found_again(
    drawn: list[tuple[bytes, bytes, bytes, State, str, int, bytes]], sizes: list[int], reopen_every: int
) -> None:
    """In batches of any size, with the store closed in between: stories, decisions and counts are those of a list."""
    statuses = in_order(drawn)
    with tempfile.TemporaryDirectory() as folder:
        left, applied = list(statuses), 0
        while left:
            size = sizes.pop() if sizes else 60
            with opened(folder) as store:
                assert (store.position or 0) == applied
                for _ in range(reopen_every + 1):
                    batch, left = left[:size], left[size:]
                    if batch:
                        applied = batch[-1].offset + 1
                        store.apply(batch, applied, NOW, {})
        with opened(folder) as store:
            assert_as_listed(store, statuses)


def assert_as_listed(store: StoryStore, statuses: Sequence[Written]) -> None:
    """Each question has the answer that a list gives."""
    for user in USERS:
        decided = [each for each in statuses if each.user == user and each.stage == "suppress"]
        wanted = sorted((-each.at, -each.offset, each.kind, name_of(each)) for each in decided)
        assert [(-d.at, -d.offset, d.kind, d.name) for d in store.recent(user)] == wanted
        if decided:
            middle = decided[len(decided) // 2]
            behind = store.recent(user, inverse(middle.at, middle.offset))
            assert [d.offset for d in behind] == [
                -offset for at, offset, *_ in wanted if (at, offset) > (-middle.at, -middle.offset)
            ]
        for kind in KINDS:
            own = [each for each in statuses if (each.user, each.kind) == (user, kind)]
            last = max((each for each in own if each.stage == "suppress"), key=lambda e: (e.at, e.offset), default=None)
            found = store.last(user, kind)
            assert (None if found is None else found.offset) == (None if last is None else last.offset)
            for notification_id in IDS:
                named = [each for each in own if each.notification_id == notification_id]
                for name in {name_of(each) for each in named} or {name_part(notification_id, (9, 9))}:
                    told = [Told(each.offset, each.value) for each in named if name_of(each) == name]
                    assert store.story(user, kind, name).told == told
                assert store.suppressed(user, kind, notification_id) == counted(own, notification_id)


def counted(own: Sequence[Written], holder: bytes) -> int:
    """How many it has suppressed since it was last admitted."""
    count = 0
    for each in own:
        if each.stage == "suppress" and each.state == "ADMITTED" and each.notification_id == holder:
            count = 0
        elif each.stage == "suppress" and each.by == holder and holder:
            count += 1
    return count


@given(
    st.sampled_from(get_args(State)),
    st.binary(max_size=300),
    st.text(max_size=40),
    st.text(max_size=1200),
    st.sampled_from(("suppress", "schedule", "deliver", "suppressed")),
    st.integers(-(2**62), 2**62),
    st.tuples(st.integers(-1, 2**31 - 1), st.integers(-1, 2**62)),
    st.text(max_size=200),
)
def test_the_front_of_any_status_is_read_as_the_codec_reads_it(
    state: State, user: bytes, name: str, reason: str, stage: str, at: int, origin: tuple[int, int], by: str
) -> None:
    """What rows are made of is what a complete reader sees."""
    key = user.hex().encode() + b":news"
    value = StatusWriter(stage, at, origin[0]).write(
        name.encode(), key, state, reason.encode(), origin[1], by_notification_id=by.encode(), until=at
    )
    record = Codec().decode(value, ("Status",)).record
    head = read_head(value, 10)
    assert head.notification_id.decode() == record["notification_id"]
    assert (head.state, head.at, head.decided) == (record["state"], record["at"], stage == "suppress")
    assert read_origin(value, head) == (record["origin_partition"], record["origin_offset"])
    if head.decided:
        assert read_holder(value, head).decode() == record["by_notification_id"]


@given(st.integers(0, 2**48 - 2), st.integers(0, 2**63 - 1))
def test_the_latest_comes_first(at: int, offset: int) -> None:
    """An instant and an offset in a key are read again, and sort the other way round."""
    assert read_inverse(b"..." + inverse(at, offset)) == (at, offset)
    assert inverse(at + 1, 0) < inverse(at, offset)
    assert offset == 0 or inverse(at, offset) < inverse(at, offset - 1)


def test_what_is_too_old_is_dropped_as_a_range(tmp_path: Path) -> None:
    """A day later nothing of today is found, and nothing of it is read anew."""
    with opened(tmp_path) as store:
        store.apply([written(0, b"u", b"t", b"a", "ADMITTED")], 1, NOW, {})
        store.look(NOW + KEEP - HOUR)
        assert store.story(b"u", b"t", sized(b"a")).told
        later = NOW + KEEP + 5 * HOUR
        store.apply(
            [written(5, b"u", b"t", b"a", "ADMITTED"), written(6, b"u", b"t", b"b", "ADMITTED", at=later)], 7, later, {}
        )
        assert not store.story(b"u", b"t", sized(b"a")).told
        assert [decision.offset for decision in store.recent(b"u")] == [6]
        assert store.suppressed(b"u", b"t", b"a") == 0
        assert store.position == 7
        assert len(list(store._db.keys())) == 5, "story, decision and count of one, position and shape"


def test_a_story_without_an_end_is_cut_in_the_middle(tmp_path: Path) -> None:
    """Of an id that is produced again and again the first statuses and the last ones are told."""
    count = 2 * STEPS_MAX
    statuses = [written(n, b"u", b"t", b"a", "DUPLICATE", at=NOW - KEEP + n * HOUR // 50) for n in range(count)]
    with opened(tmp_path) as store:
        store.apply(statuses, count, NOW, {})
        story = store.story(b"u", b"t", sized(b"a"))
        assert story.left_out
        offsets = [told.offset for told in story.told]
        assert offsets == [*range(STEPS_MAX), *range(count - STEPS_OF_THE_END, count)]


@pytest.mark.parametrize("known_anew", [False, True])
def test_a_user_who_is_erased_has_no_stories(tmp_path: Path, known_anew: bool) -> None:
    """What was told before is gone, also what ends only then; his neighbours and what comes after are not."""
    erased_at = NOW - HOUR
    before = [
        written(0, b"tenant", b"news", b"a", "ADMITTED", at=erased_at - 5),
        written(1, b"tenant", b"news", b"b", SUPPRESSED, at=erased_at),
        written(2, b"tenant:1", b"news", b"a", "ADMITTED", at=erased_at - 5),
    ]
    after = [
        written(3, b"tenant", b"news", b"a", "NO_DEVICE", "deliver", at=erased_at + 5),
        written(4, b"tenant", b"news", b"c", "ADMITTED", at=erased_at + 6, origin=(3, 19)),
        written(5, b"tenant", b"news", b"c", "ACCEPTED", "deliver", at=erased_at + 7, origin=(3, 19)),
    ]
    erased = {b"tenant": erased_at}
    with opened(tmp_path) as store:
        store.apply(before, 3, NOW, {})
        if known_anew:  # the erasure is read only after what came later
            store.apply(after[1:], 6, NOW, {})
        store.erase(b"tenant", erased_at)
        if not known_anew:
            store.apply(after, 6, NOW, erased)
        store.erase(b"tenant", erased_at)  # once more after a restart
        assert [decision.offset for decision in store.recent(b"tenant")] == [4]
        assert not store.story(b"tenant", b"news", sized(b"a")).told
        assert [told.offset for told in store.story(b"tenant", b"news", sized(b"c")).told] == [4, 5]
        assert store.story(b"tenant:1", b"news", sized(b"a")).told
        store.wipe()
        store.apply([*before, *after], 6, NOW, erased)
        assert [decision.offset for decision in store.recent(b"tenant")] == [4], "told anew, it is as it was"
        assert not store.story(b"tenant", b"news", sized(b"a")).told


def test_another_keeping_time_is_told_anew(tmp_path: Path) -> None:
    """Its rows would be looked for at other keys."""
    with opened(tmp_path) as store:
        store.apply([written(0, b"u", b"t", b"a", "ADMITTED")], 1, NOW, {})
    other = StoryStore(tmp_path / "3.db", 3, StoreBudget().options, 2 * KEEP, Codec())
    assert other.position is None
    other.close()


def test_what_is_no_status_is_passed_over(tmp_path: Path) -> None:
    """And the position goes on."""
    good = written(2, b"u", b"t", b"a", "ADMITTED")
    bad = [good._replace(offset=0, value=b"no avro"), good._replace(offset=1, value=good.value[:14])]
    with opened(tmp_path) as store:
        store.apply([*bad, good], 3, NOW, {})
        assert store.position == 3
        assert [told.offset for told in store.story(b"u", b"t", sized(b"a")).told] == [2]


@pytest.mark.parametrize("together", [True, False])
def test_what_a_holder_has_suppressed_is_counted_from_its_last_admission(tmp_path: Path, together: bool) -> None:
    """In one batch or one by one, over buckets and over the store being closed; each holder for itself.

    bucket   |------ earlier ------|------ later ------|
             A  s  s               s  s  s                  5 of the first admission
                                            A  s            1 of the second one
    """
    early, late = NOW - 5 * HOUR, NOW
    rows: list[tuple[State, int]] = [("ADMITTED", early), *[(SUPPRESSED, early)] * 2, *[(SUPPRESSED, late)] * 3]
    first = [written(n, b"u", b"t", b"a" if s == "ADMITTED" else b"x", s, at=at) for n, (s, at) in enumerate(rows)]
    again = [written(6, b"u", b"t", b"a", "ADMITTED", at=late), written(7, b"u", b"t", b"x", SUPPRESSED, at=late)]
    others = [written(8, b"u", b"t", b"x", SUPPRESSED, at=late, by=b"b"), written(9, b"u", b"tt", b"x", SUPPRESSED)]
    for statuses, wanted in ((first, 5), (again, 1), (others, 1)):
        batches = [statuses] if together else [[each] for each in statuses]
        for batch in batches:
            with opened(tmp_path) as store:
                store.apply(batch, batch[-1].offset + 1, NOW, {})
        with opened(tmp_path) as store:
            assert store.suppressed(b"u", b"t", b"a") == wanted
    with opened(tmp_path) as store:
        assert (store.suppressed(b"u", b"t", b"b"), store.suppressed(b"u", b"tt", b"a")) == (1, 1)
