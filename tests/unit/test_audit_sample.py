"""The audit that runs in a worker: it finds each kind of broken promise in a sample, and stays small."""

from __future__ import annotations

from streams.audit.rows import Rules, StatusRow
from streams.audit.sample import ROWS_MAX, SETTLE_MS, SLICE_SLOTS, SlotSample

SLOT = b"user-1:flash"
RULES = Rules(window_ms=20_000, limit=1, resend_unknown=False, hold_ms=27_000, skew_ms=1_000)
T = 1_800_000_000_000
LATER = T + 10_000_000


class Feed:
    """A sample, and what is told to it."""

    def __init__(self, slots_max: int = 100) -> None:
        self.sample = SlotSample(lambda slot: RULES, slots_max)
        self._offset = 0

    def say(
        self,
        name: str,
        state: str,
        at: int,
        *,
        slot: bytes = SLOT,
        reason: str = "why",
        by: str | None = None,
        until: int | None = None,
        origin: int = 0,
    ) -> None:
        self._offset += 1
        place = f"statuses-0@{self._offset}"
        row = StatusRow(name, state, reason, T + at, T + at, (0, origin), 1, "phone", by, until, place)
        if self.sample.wants(slot):
            self.sample.add(slot, row, T - 10**9)

    def sent(self, name: str, at: int, origin: int, slot: bytes = SLOT) -> None:
        self.say(name, "ADMITTED", at, until=T + at + 6_000, origin=origin, slot=slot)
        self.say(name, "SENDING", at + 1, origin=origin, slot=slot)
        self.say(name, "ATTEMPTED", at + 2, reason="ACCEPTED: 200", origin=origin, slot=slot)
        self.say(name, "ACCEPTED", at + 2, origin=origin, slot=slot)

    def broken(self, now: int = T) -> list[str]:
        return [violation.promise for some in self.sample.judge(now) for violation in some]


def test_a_sound_history_passes() -> None:
    """Two sends a window apart, and one that was suppressed between them.

    a            b suppressed          c
    |------------|---------------------|
    0            5 s                   21.5 s
    """
    feed = Feed()
    feed.sent("a", 0, 1)
    feed.say("b", "SUPPRESSED", 5_000, by="a", until=T + 21_002, origin=2)
    feed.sent("c", 21_500, 3)
    assert feed.broken() == []
    assert feed.sample.checked == 9


def test_two_sends_in_one_window_break_the_first_promise() -> None:
    """Said once, however often the slot is judged again.

    a     b
    |-----|-----------------|
    0     5 s               20 s
    """
    feed = Feed()
    feed.sent("a", 0, 1)
    feed.sent("b", 5_000, 2)
    assert feed.broken() == ["P1"]
    feed.say("c", "SUPPRESSED", 6_000, by="b", until=T + 26_000, origin=3)
    assert feed.broken() == []


def test_what_was_certainly_not_sent_takes_no_window() -> None:
    """The first one was refused and given up, so the second one may follow."""
    feed = Feed()
    feed.say("a", "ADMITTED", 0, until=T + 6_000, origin=1)
    feed.say("a", "SENDING", 1, origin=1)
    feed.say("a", "ATTEMPTED", 2, reason="NOT_SENT: BadTopic", origin=1)
    feed.say("a", "DEAD", 2, origin=1)
    feed.sent("b", 1_000, 2)
    assert feed.broken() == []


def test_an_answer_without_a_claim_breaks_the_second_promise() -> None:
    """No SENDING stands before it."""
    feed = Feed()
    feed.say("a", "ADMITTED", 0, until=T + 6_000, origin=1)
    feed.say("a", "ATTEMPTED", 2, reason="ACCEPTED: 200", origin=1)
    feed.say("a", "ACCEPTED", 2, origin=1)
    assert feed.broken() == ["P2"]


def test_two_ends_or_none_by_name_break_the_third_promise() -> None:
    """An event that ends twice, and one that was suppressed by nobody."""
    feed = Feed()
    feed.sent("a", 0, 1)
    feed.say("a", "UNKNOWN", 3, origin=1)
    feed.say("b", "SUPPRESSED", 5_000, by="nobody", until=T + 20_000, origin=2)
    assert feed.broken() == ["P3", "P3"]


def test_what_was_said_before_reading_began_is_not_missed() -> None:
    """The holder may have been admitted before: nothing is known, and nothing is said."""
    feed = Feed()
    feed.sample.add(SLOT, StatusRow("b", "SUPPRESSED", "held", T, T, (0, 1), 0, None, "a", T + 9_000, "s-0@1"), T - 1)
    assert feed.broken() == []


def test_a_holder_that_is_admitted_once_more_may_have_held_before_reading_began() -> None:
    """Its first admission was not read: quiet hours freed its slot later, and it came again.

    a admitted   (reading begins)   b suppressed by a    a deferred    a admitted again
    """
    feed = Feed()
    for row in (
        StatusRow("b", "SUPPRESSED", "held", T, T, (0, 2), 0, None, "a", T + 9_000, "s-0@1"),
        StatusRow("a", "DEFERRED", "quiet hours", T + 1_000, T + 1_000, (0, 1), 0, None, None, T + 30_000, "s-0@2"),
        StatusRow("a", "ADMITTED", "free", T + 30_000, T + 30_000, (0, 1), 0, None, None, T + 36_000, "s-0@3"),
    ):
        feed.sample.add(SLOT, row, T - 1)
    assert feed.broken() == []


def test_a_holder_that_is_admitted_only_later_is_no_reason() -> None:
    """All of its slot was read, so nobody held it."""
    feed = Feed()
    feed.say("b", "SUPPRESSED", 0, by="a", until=T + 9_000, origin=2)
    feed.sent("a", 30_000, 1)
    assert feed.broken() == ["P3"]


def test_an_end_that_does_not_come_is_shown_as_overdue() -> None:
    """It is counted from `send_by` on, with what a verdict may take; then its slot is forgotten with the window."""
    feed = Feed()
    feed.say("a", "ADMITTED", 0, until=T + 6_000, origin=1)
    assert feed.broken(T + 6_000 + SETTLE_MS) == []
    assert feed.sample.overdue == 0
    feed.broken(T + 6_001 + SETTLE_MS)
    assert feed.sample.overdue == 1


def test_slots_are_forgotten_when_nothing_can_refer_to_them() -> None:
    """A window, a hold and the time of a verdict after the last word."""
    feed = Feed()
    feed.sent("a", 0, 1)
    feed.broken(T + 6_000)
    assert len(feed.sample) == 1
    feed.broken(LATER)
    assert len(feed.sample) == 0


def test_slots_are_judged_some_at_a_time() -> None:
    """Others have their turn between two slices; the broken slot is found wherever it stands, and only once."""
    feed = Feed(slots_max=1_000)
    for number in range(5 * SLICE_SLOTS):
        feed.sent(f"a{number}", 0, 2 * number, slot=b"user-%d:flash" % number)
    feed.sent("again", 5_000, 1, slot=b"user-7:flash")
    slices = [len(found) for found in feed.sample.judge(T + 6_000)]
    assert len(slices) == 5
    assert sum(slices) == 1
    assert list(feed.sample.judge(T + 6_000)) == []


def test_the_sample_stays_small_and_whole() -> None:
    """With many slots half of them are let go, as often as needed, and those that stay are seen completely."""
    feed = Feed(slots_max=50)
    for number in range(1_000):
        feed.sent(f"a{number}", number, number, slot=b"user-%d:flash" % number)
    assert len(feed.sample) <= 50
    assert 0 < feed.sample.share < 0.2
    assert feed.broken() == []


def test_a_flooded_slot_is_cut_and_not_accused() -> None:
    """Of a slot with thousands of statuses the last ones are kept; what refers to those before is left alone."""
    feed = Feed()
    feed.sent("a", 0, 0)
    for number in range(3 * ROWS_MAX):
        feed.say(f"b{number}", "SUPPRESSED", 10 + number, by="a", until=T + 20_000, origin=1 + number)
    assert feed.broken() == []
