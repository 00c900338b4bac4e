"""Each way of breaking a cap is found in the record of a user, and a sound record passes. A cap of 2 in 20 s."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.audit.cap_checks import CapHistory, CapTerms, check_caps
from streams.audit.rows import ClaimRow, PushRow, Rules, SlotHistory, StatusRow, Violation
from streams.audit.slot_checks import check_slot
from streams.policies.capping import Cap, CapRules
from streams.policies.identity import push_id

NOW = 1_800_000_000_000
CAP = Cap(2, 20_000)
RULES = {"code": CapRules(ignores=True), "hint": CapRules(counts=False)}
TERMS = CapTerms((CAP,), 6_000, 1_000, lambda slot: RULES.get(slot.rpartition(b":")[2].decode(), CapRules()))


@dataclasses.dataclass
class Story:
    """What the record says of the user `u`, each notification in a type of its own unless one is given."""

    statuses: dict[bytes, list[StatusRow]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    claims: dict[bytes, list[ClaimRow]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    pushes: dict[bytes, list[PushRow]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    types: dict[str, str] = dataclasses.field(default_factory=dict)
    rows: int = 0

    def slot(self, name: str) -> bytes:
        return f"u:{self.types.get(name, name)}".encode()

    def status(self, name: str, state: str, at: int, reason: str = "why", stage: str = "deliver") -> None:
        self.rows += 1
        until = at + 5_000 if state in ("ADMITTED", "SENDING", "DEFERRED", "SUPPRESSED") else None
        origin, place = (0, self.rows), f"statuses-0@{self.rows}"
        row = StatusRow(name, state, reason, at, at, origin, 1, None, None, until, place, stage)
        self.statuses[self.slot(name)].append(row)

    def claimed(self, name: str, at: int) -> None:
        self.status(name, "ADMITTED", at, stage="suppress")
        self.status(name, "SENDING", at)
        self.claims[self.slot(name)].append(ClaimRow(name, "d", 1, "SENDING", at, at, "deliveries-0@0"))

    def pushed(self, name: str, at: int) -> None:
        slot = self.slot(name)
        self.pushes[slot].append(PushRow(name, at, "apns", "address", push_id(slot, name, "d"), f"pushes:{at - NOW}"))

    def ended(self, name: str, state: str, phase: str, at: int) -> None:
        self.claims[self.slot(name)].append(ClaimRow(name, "d", 1, phase, at, at, "deliveries-0@1"))
        self.status(name, state, at)

    def sent(self, name: str, at: int, type: str | None = None) -> None:
        """Admitted, claimed, pushed and accepted."""
        self.types[name] = type or name
        self.claimed(name, at)
        self.pushed(name, at)
        self.ended(name, "ACCEPTED", "ACCEPTED", at)

    def capped(self, name: str, at: int, state: str = "SUPPRESSED") -> None:
        self.status(name, "ADMITTED", at, stage="suppress")
        self.status(name, state, at, "the cap of 2 in 20 s is reached until then")

    def check(self, log: bool = True, since: int = 0, terms: CapTerms = TERMS) -> list[Violation]:
        history = CapHistory()
        for slot, rows in self.statuses.items():
            pushes = self.pushes[slot] if log else None
            history.add(SlotHistory(slot, rows, self.claims[slot], pushes), terms.skew_ms)
        return list(check_caps(history, terms, since))

    def broken(self, log: bool = True) -> list[str]:
        return [violation.promise for violation in self.check(log)]


@pytest.mark.parametrize("log", [True, False])
def test_a_sound_record_passes(log: bool) -> None:
    """Two in a window, one turned away between them and the next.

    sent a  sent b   x c                     sent d
    |-------|--------|-----------------------|
    0       1 s      5 s                     21.1 s
    """
    story = Story()
    story.sent("a", NOW)
    story.sent("b", NOW + 1_000)
    story.capped("c", NOW + 5_000)
    story.sent("d", NOW + 21_100)
    assert story.broken(log) == []


@pytest.mark.parametrize("log", [True, False])
def test_one_too_many_over_all_types_is_found(log: bool) -> None:
    """Three types, each with its own window kept; the sentence names all of them."""
    story = Story()
    for number, name in enumerate(("a", "b", "c")):
        story.sent(name, NOW + number * 9_000)
    [found] = story.check(log)
    assert (found.promise, found.slot, found.notification_ids) == ("P1", b"u:c", ("a", "b", "c"))
    assert "the cap is 2 in 20 s" in found.sentence


def test_the_window_is_half_open() -> None:
    """Exactly a window later is allowed."""
    for distance, broken in ((19_999, ["P1"]), (20_000, [])):
        story = Story()
        for name, at in (("a", 0), ("b", 10), ("c", distance)):
            story.sent(name, NOW + at)
        assert story.broken() == broken


@given(st.lists(st.integers(0, 60_000), min_size=1, max_size=10, unique=True), st.integers(1, 3))
def test_the_windows_are_those_of_brute_force(instants: list[int], limit: int) -> None:
    """A run of sends is broken exactly if some window holds more of them than the limit."""
    story = Story()
    for number, instant in enumerate(sorted(instants)):
        story.sent(f"n{number}", NOW + instant)
    expected = any(sum(start <= other < start + 20_000 for other in instants) > limit for start in instants)
    assert bool(story.check(terms=TERMS._replace(caps=(Cap(limit, 20_000),)))) == expected


@pytest.mark.parametrize("log", [True, False])
def test_what_ignores_the_cap_is_no_violation_but_counts_for_others(log: bool) -> None:
    """A code after two others is fine; what heeds the cap after it is not.

    a  b  code  |  a  code  c
    """
    story = Story()
    story.sent("a", NOW)
    story.sent("b", NOW + 3_000)
    story.sent("k", NOW + 6_000, "code")
    assert story.broken(log) == []
    story.sent("c", NOW + 9_000)
    [found] = story.check(log)
    assert found.notification_ids[-1] == "c"


def test_what_does_not_count_is_in_nobodys_way_and_heeds_the_cap_itself() -> None:
    """Two hints and two others are fine; a hint after two others is not."""
    story = Story()
    story.sent("h1", NOW, "hint")
    story.sent("h2", NOW + 2_000, "hint")
    story.sent("a", NOW + 4_000)
    story.sent("b", NOW + 6_000)
    assert story.broken() == []
    story.sent("h3", NOW + 9_000, "hint")
    assert story.broken() == ["P1"]


def test_a_second_push_of_one_notification_is_none_too_many_but_keeps_its_window_open() -> None:
    """Another device, a moment later: b is too early after it.

    0           18 s        19 s
    |a phone     |c          |a pad       b 21 s, where c and a (until 39 s) stand
    """
    story = Story()
    story.types["a"] = "a"
    story.claimed("a", NOW)
    story.pushed("a", NOW)
    story.pushed("a", NOW + 19_000)
    story.sent("c", NOW + 18_000)
    story.ended("a", "ACCEPTED", "ACCEPTED", NOW + 19_000)
    assert story.broken() == []
    story.sent("b", NOW + 21_000)
    assert story.broken() == ["P1"]


@pytest.mark.parametrize("log", [True, False])
def test_what_was_certainly_not_sent_does_not_count(log: bool) -> None:
    """Neither for what is sent after it, nor for what is turned away long after it."""
    story = Story()
    story.types["a"] = "a"
    story.claimed("a", NOW)
    story.ended("a", "DEAD", "NOT_SENT", NOW + 100)
    story.sent("b", NOW + 3_000)
    story.sent("c", NOW + 6_000)
    assert story.broken(log) == []
    late = Story()
    late.claimed("a", NOW)
    late.ended("a", "DEAD", "NOT_SENT", NOW + 100)
    late.sent("b", NOW + 3_000)
    late.capped("c", NOW + 6_000)
    assert late.broken(log) == ["P3"]


@pytest.mark.parametrize("state", ["SUPPRESSED", "DEFERRED", "EXPIRED"])
def test_who_is_turned_away_while_there_is_room_is_found(state: str) -> None:
    """One stands where two must."""
    story = Story()
    story.sent("a", NOW)
    story.capped("c", NOW + 5_000, state)
    [found] = story.check()
    assert (found.promise, found.slot, found.notification_ids) == ("P3", b"u:c", ("c",))
    assert "only 1 others" in found.sentence
    assert story.check(since=NOW - 10_000) == []  # another one may have been sent before what was read


def test_a_claim_without_an_end_stands_for_the_longest_that_it_may_take() -> None:
    """send_by 5 s, grace 6 s, the window and two clocks: 33 s."""
    for at, broken in ((33_000, []), (33_001, ["P3"])):
        story = Story()
        story.claimed("a", NOW)
        story.claimed("b", NOW + 10_000)
        story.capped("c", NOW + at)
        assert story.broken() == broken


def test_one_that_was_turned_away_by_a_cap_frees_its_slot() -> None:
    """The checks of the slot take it for an end, not for a suppression by a holder; the next of its type may pass."""
    story = Story()
    story.types = {"c": "t", "d": "t", "e": "t"}
    story.capped("c", NOW)
    story.sent("d", NOW + 1, "t")
    rules = Rules(20_000, 1, False, 27_000, 1_000)
    slot = b"u:t"
    history = SlotHistory(slot, story.statuses[slot], story.claims[slot], story.pushes[slot])
    assert list(check_slot(history, rules, 0, 0)) == []
    at = NOW + 9_000
    by_c = StatusRow("e", "SUPPRESSED", "held", at, at, (0, 9), 0, None, "c", at + 500, "s@9", "suppress")
    story.statuses[slot].append(by_c)
    [found] = check_slot(history, rules, 0, 0)
    assert "c had ended as SUPPRESSED" in found.sentence
