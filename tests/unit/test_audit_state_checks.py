"""The state of suppress is bounded: rows that nobody will sweep are found."""

from __future__ import annotations

import pytest

from schemas.notification import write_slot
from streams.audit.state_checks import StateReport, check_cap_rows, check_state
from streams.policies.capping import CapPlace
from streams.stages.blocks import Block, block_key, write_block
from streams.stages.cap_rows import CapRow, cap_key, write_cap_row
from streams.stages.slots_table import place_key

NOW = 1_800_000_000_000
PLACE = place_key(b"u:t", 0)
SECOND = place_key(b"u:t", 1)


def row(until: int) -> bytes:
    return write_slot(b"a", "HELD", until, NOW - 1_000, NOW)


def block(sweep_at: int, slots: list[bytes], ids: bytes = b"", number: int = 1) -> tuple[bytes, bytes]:
    return block_key(sweep_at, number), write_block(Block(NOW, sweep_at, ids, slots))


def test_active_and_unswept_rows_are_counted() -> None:
    """One place is held, the other one is over and waits for the sweeper."""
    rows = dict([block(NOW + 5_000, [PLACE]), block(NOW - 5_000, [SECOND]), block(NOW + 9_000, [], b"x" * 34, 2)])
    rows |= {PLACE: row(NOW + 5_000), SECOND: row(NOW - 5_000)}
    report = check_state([rows], NOW)
    assert (report.active, report.unswept, report.blocks, report.blocks_unswept, report.ids) == (1, 1, 3, 1, 2)
    assert report.violations == []


def test_a_row_in_no_block_is_found() -> None:
    """Nothing would ever remove it: this is how state grows with history."""
    report = check_state([dict([block(NOW + 5_000, [PLACE])]) | {SECOND: row(NOW + 5_000)}], NOW)
    assert [violation.promise for violation in report.violations] == ["P4"]
    assert report.violations[0].slot == b"u:t"


def test_ids_that_are_kept_for_too_long_are_found() -> None:
    """A day is what is remembered."""
    report = check_state([dict([block(NOW + 2 * 86_400_000, [], b"x" * 17)])], NOW)
    assert [violation.promise for violation in report.violations] == ["P4"]


@pytest.mark.parametrize(("named_at", "broken"), [(9_000, False), (8_000, True), (None, True)])
def test_a_row_of_a_cap_must_be_named_by_its_block(named_at: int | None, broken: bool) -> None:
    """A row that no block names, or only one that it does not wait for, would stay for ever."""
    place = CapPlace("t", "n", 0, False, 1_000)
    rows = {cap_key(b"u"): write_cap_row(CapRow(9_000, [place]))}
    if named_at is not None:
        rows[block_key(named_at, 1)] = write_block(Block(1_000, named_at, b"", [cap_key(b"u")]))
    report = StateReport()
    check_cap_rows(rows, report)
    assert report.capped_users == 1
    assert [violation.promise for violation in report.violations] == (["P4"] if broken else [])
