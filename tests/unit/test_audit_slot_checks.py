"""Each way of breaking the promise for one slot is found, and a sound history passes."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.audit.rows import ClaimRow, PushRow, Rules, SlotHistory, StatusRow, Violation
from streams.audit.slot_checks import check_slot
from streams.policies.identity import push_id

SLOT = b"user-1:flash"
RULES = Rules(window_ms=20_000, limit=1, resend_unknown=False, hold_ms=27_000, skew_ms=1_000)
SETTLE_MS = 5_000


@dataclasses.dataclass
class Story:
    """Collects rows in the order in which they happen."""

    statuses: list[StatusRow] = dataclasses.field(default_factory=list)
    claims: list[ClaimRow] = dataclasses.field(default_factory=list)
    pushes: list[PushRow] = dataclasses.field(default_factory=list)

    def status(
        self, name: str, state: str, at: int, by: str | None = None, until: int | None = None, offset: int = 0
    ) -> None:
        place = f"statuses-0@{len(self.statuses)}"
        origin = (0, offset)
        self.statuses.append(StatusRow(name, state, "why", at, at, origin, 1, None, by, until, place))

    def claim(self, name: str, phase: str, at: int, attempt: int = 1, device: str = "apns") -> None:
        place = f"deliveries-0@{len(self.claims)}"
        self.claims.append(ClaimRow(name, device, attempt, phase, at, at, place))

    def push(self, name: str, at: int, device: str = "apns") -> None:
        place = f"pushes:{len(self.pushes) + 1}"
        self.pushes.append(PushRow(name, at, device, f"{device}-address", push_id(SLOT, name, device), place))

    def sent(self, name: str, at: int) -> None:
        """Admitted, claimed, pushed and accepted, a millisecond apart."""
        self.status(name, "ADMITTED", at, until=at + 6_000)
        self.status(name, "SENDING", at + 1)
        self.claim(name, "SENDING", at + 1)
        self.push(name, at + 2)
        self.claim(name, "ACCEPTED", at + 3)
        self.status(name, "ACCEPTED", at + 3)

    def check(self, rules: Rules = RULES, log: bool = True, since: int = 0) -> list[Violation]:
        history = SlotHistory(SLOT, self.statuses, self.claims, self.pushes if log else None)
        return list(check_slot(history, rules, since, SETTLE_MS))

    def broken(self, rules: Rules = RULES, log: bool = True) -> list[str]:
        return [violation.promise for violation in self.check(rules, log)]


NOW = 1_800_000_000_000


@pytest.mark.parametrize("log", [True, False])
def test_a_sound_history_passes(log: bool) -> None:
    """Two sends a window apart, and one suppressed between them.

    sent a       suppressed b          sent c
    |------------|---------------------|
    0            5 s                   21.5 s
    """
    story = Story()
    story.sent("a", NOW)
    story.status("b", "SUPPRESSED", NOW + 5_000, by="a", until=NOW + 21_003)
    story.sent("c", NOW + 21_500)
    assert story.broken(log=log) == []


@pytest.mark.parametrize("log", [True, False])
def test_two_sends_within_the_window_are_found(log: bool) -> None:
    """sent a --- 15 s --- sent b, where 20 s must lie between."""
    story = Story()
    story.sent("a", NOW)
    story.sent("b", NOW + 15_000)
    found = story.check(log=log)
    assert [violation.promise for violation in found] == ["P1"]
    assert found[0].notification_ids == ("a", "b")


def test_one_millisecond_less_than_the_window_is_found_and_the_window_itself_is_not() -> None:
    """The window is half open: a send exactly one window later is allowed."""
    for distance, broken in ((19_999, ["P1"]), (20_000, [])):
        story = Story()
        story.sent("a", NOW)
        story.sent("b", NOW + distance)
        assert story.broken() == broken


@given(st.lists(st.integers(0, 60_000), min_size=1, max_size=12, unique=True), st.integers(1, 3))
def test_the_limit_of_a_window_is_that_of_brute_force(instants: list[int], limit: int) -> None:
    """A run of sends is broken exactly if some window holds more of them than the limit."""
    story = Story()
    for number, instant in enumerate(sorted(instants)):
        story.sent(f"n{number}", NOW + instant)
    expected = any(sum(start <= other < start + RULES.window_ms for other in instants) > limit for start in instants)
    assert bool(story.broken(RULES._replace(limit=limit))) == expected


def test_the_same_notification_twice_on_a_device_is_found_unless_the_type_resends() -> None:
    """A second push for a second claim is a violation only where what is unknown is not sent again."""
    story = Story()
    story.sent("a", NOW)
    story.claim("a", "SENDING", NOW + 4_000, attempt=2)
    story.push("a", NOW + 4_001)
    assert story.broken() == ["P1"]
    assert story.broken(RULES._replace(resend_unknown=True)) == []


def test_two_devices_of_a_user_are_one_send() -> None:
    """One notification on a phone and in a browser is no second send."""
    story = Story()
    story.sent("a", NOW)
    story.claim("a", "SENDING", NOW + 1, device="webpush")
    story.push("a", NOW + 900, device="webpush")
    assert story.broken() == []


def test_a_push_without_a_claim_is_found() -> None:
    """The log has a push, and the record no claim for it."""
    story = Story()
    story.status("a", "ADMITTED", NOW, until=NOW + 6_000)
    story.push("a", NOW + 2)
    assert story.broken() == ["P2"]


def test_a_push_before_its_claim_is_found() -> None:
    """Two seconds before it, where clocks may differ by one."""
    story = Story()
    story.sent("a", NOW)
    story.pushes = [story.pushes[0]._replace(at=NOW - 2_000)]
    assert story.broken() == ["P2"]


def test_a_push_for_a_device_that_was_not_claimed_is_found() -> None:
    """The claim of one device allows nothing for another one."""
    story = Story()
    story.sent("a", NOW)
    story.push("a", NOW + 3, device="fcm")
    assert story.broken() == ["P2"]


def test_more_pushes_than_claimed_attempts_are_found() -> None:
    """Where a type resends, each push still needs an attempt of its own."""
    story = Story()
    story.sent("a", NOW)
    story.push("a", NOW + 5)
    assert story.broken(RULES._replace(resend_unknown=True)) == ["P2"]


def test_a_claim_whose_first_version_was_compacted_away_is_found_in_the_statuses() -> None:
    """The last version of the row says ACCEPTED; that it was SENDING before, the status says."""
    story = Story()
    story.sent("a", NOW)
    del story.claims[0]
    assert story.broken() == []


def test_a_push_that_is_said_to_be_certainly_not_sent_is_found() -> None:
    """NOT_SENT is a certainty: the provider's log must not have it."""
    story = Story()
    story.status("a", "ADMITTED", NOW, until=NOW + 6_000)
    story.claim("a", "SENDING", NOW + 1)
    story.push("a", NOW + 2)
    story.claim("a", "NOT_SENT", NOW + 3)
    assert story.broken() == ["P1"]


def test_an_accepted_push_that_no_provider_has_is_found() -> None:
    """ACCEPTED means that a provider took it."""
    story = Story()
    story.sent("a", NOW)
    story.pushes.clear()
    assert story.broken() == ["P3"]


def test_a_suppression_by_one_that_was_never_admitted_is_found() -> None:
    """The reason that it names does not exist: the event is lost."""
    story = Story()
    story.status("b", "SUPPRESSED", NOW, by="a", until=NOW + 9_000)
    assert story.broken() == ["P3"]
    assert story.check(since=NOW - 10_000) == []  # a may have been admitted before what was read


def test_a_suppression_after_the_window_is_found() -> None:
    """sent a ------ 40 s ------ suppressed b by a: the longest hold ends after 34 s."""
    story = Story()
    story.sent("a", NOW)
    story.status("b", "SUPPRESSED", NOW + 40_000, by="a", until=NOW + 45_000)
    assert story.broken() == ["P3"]


def test_a_possible_send_counts_from_when_it_was_given_up() -> None:
    """A request at the end of its time that is never answered may have arrived as late as that.

    admitted a   send_by 6 s   UNKNOWN 9 s                suppressed b 35 s
    |------------|-------------|--------------------------|
    """
    story = Story()
    story.status("a", "ADMITTED", NOW, until=NOW + 6_000)
    story.status("a", "UNKNOWN", NOW + 9_000)
    story.status("b", "SUPPRESSED", NOW + 35_000, by="a", until=NOW + 36_000)
    assert story.broken() == []
    story.status("c", "SUPPRESSED", NOW + 38_000, by="a", until=NOW + 39_000)
    assert story.broken() == ["P3"]


def test_a_suppression_by_one_that_was_given_up_long_ago_is_found() -> None:
    """A slot may stay held while the verdict is under way, and not for longer."""
    for later, broken in ((2_000, []), (8_000, ["P3"])):
        story = Story()
        story.status("a", "ADMITTED", NOW, until=NOW + 6_000)
        story.status("a", "EXPIRED", NOW + 1_000)
        story.status("b", "SUPPRESSED", NOW + 1_000 + later, by="a", until=NOW + 33_000)
        assert story.broken() == broken


def test_a_duplicate_without_an_original_is_found() -> None:
    """What is dropped as seen before must have been seen before."""
    story = Story()
    story.status("a", "DUPLICATE", NOW, by="a", offset=1)
    assert story.broken() == ["P3"]
    story.status("a", "ADMITTED", NOW - 1, until=NOW + 6_000, offset=0)
    assert story.broken() == []


def test_what_is_dropped_as_a_duplicate_of_itself_is_found() -> None:
    """Held back by quiet hours, an event comes again; taken for one seen before, it would be lost."""
    story = Story()
    story.status("a", "ADMITTED", NOW, until=NOW + 6_000)
    story.status("a", "DEFERRED", NOW + 1, until=NOW + 9_000)
    story.status("a", "DUPLICATE", NOW + 9_000, by="a")
    assert story.broken() == ["P3"]


def test_a_claim_that_quiet_hours_stopped_is_no_send() -> None:
    """Without the push log a claim may be a send, but not one that was held back: that was certainly not sent.

    0        1            5      10                 40
    a claim  a throttled  a held  b sent            a sent
    """
    story = Story()
    story.status("a", "ADMITTED", NOW, until=NOW + 6_000)
    story.status("a", "SENDING", NOW + 1)
    story.claim("a", "NOT_SENT", NOW + 2)
    story.status("a", "DEFERRED", NOW + 5_000, until=NOW + 40_000)
    story.sent("b", NOW + 10_000)
    story.sent("a", NOW + 40_000)
    assert story.broken() == []
    assert story.broken(log=False) == []


@pytest.mark.parametrize(("at", "broken"), [(4_000, []), (10_000, []), (11_500, ["P3"]), (41_000, [])])
def test_a_hold_counts_until_quiet_hours_end_it_and_anew_when_it_is_admitted_again(at: int, broken: list[str]) -> None:
    """While it is held back its slot is free, and nothing may be suppressed by it but what was at once.

    0           5                11.5   40        41
    a admitted  a held back      x      admitted  x
    """
    story = Story()
    suppressed = ("b", "SUPPRESSED", NOW + at)
    story.status("a", "ADMITTED", NOW, until=NOW + 6_000)
    story.status("a", "DEFERRED", NOW + 5_000, until=NOW + 40_000)
    if at < 40_000:
        story.status(*suppressed, by="a", until=NOW + 33_000, offset=1)
    story.sent("a", NOW + 40_000)
    if at > 40_000:
        story.status(*suppressed, by="a", until=NOW + 73_000, offset=1)
    assert story.broken() == broken
