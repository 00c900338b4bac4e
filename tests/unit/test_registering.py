"""What becomes of a user's devices: registered, refreshed, removed, found gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.outcome import Device, ProviderName
from streams.policies.registering import (
    REMOVAL_OLD_MS,
    Changed,
    Unchanged,
    distinct,
    register,
    remove,
    remove_gone,
)

NOW = 1_000_000


def device(device_id: str, address: str = "", at: int = 10, provider: ProviderName = ProviderName.APNS) -> Device:
    """A device whose address is its id, unless said otherwise."""
    return Device(device_id, provider, address or device_id, None, None, at)


PHONE, TABLET = device("phone"), device("tablet", at=20)


def test_a_new_device_is_the_last_one() -> None:
    """Those known before stay as they are."""
    assert register([], PHONE, 100) == Changed([PHONE], "registered")
    assert register([PHONE], TABLET, 100) == Changed([PHONE, TABLET], "registered")


def test_the_newer_word_on_a_device_counts() -> None:
    """In place; what is as old counts too, for it came later; the same word twice is one."""
    moved = device("phone", "other", 11)
    assert register([PHONE, TABLET], moved, 100) == Changed([moved, TABLET], "refreshed")
    as_old = replace(moved, registered_at_ms=10)
    assert register([PHONE], as_old, 100) == Changed([as_old], "refreshed")
    assert isinstance(register([PHONE], replace(moved, registered_at_ms=9), 100), Unchanged)
    assert isinstance(register([PHONE], PHONE, 100), Unchanged)


def test_an_address_under_another_id_is_the_same_address() -> None:
    """The app was installed anew and has made itself another id: one push, not two."""
    renamed = device("new id", "phone", 11)
    assert register([PHONE, TABLET], renamed, 100) == Changed([renamed, TABLET], "refreshed")
    assert isinstance(register([PHONE], replace(renamed, registered_at_ms=9), 100), Unchanged)


def test_two_that_turn_out_to_be_one_are_one() -> None:
    """The phone now has what was known as the tablet's address; what is newer of the two must be older than this."""
    both = device("phone", "tablet", 21)
    assert register([PHONE, TABLET], both, 100) == Changed([both], "refreshed")
    assert isinstance(register([PHONE, TABLET], replace(both, registered_at_ms=15), 100), Unchanged)


def test_addresses_of_two_providers_are_two() -> None:
    """Whatever they look like."""
    other = device("other", "phone", provider=ProviderName.FCM)
    assert register([PHONE], other, 100) == Changed([PHONE, other], "registered")


def test_where_there_are_too_many_the_one_registered_first_gives_way() -> None:
    """Also where that is the new one; a refresh needs no room; of equals, the one that is known for longer."""
    known = [device("a", at=30), device("b", at=10), device("c", at=20)]
    new = device("new", at=25)
    assert register(known, new, 3) == Changed([known[0], known[2], new], "registered", 1)
    assert isinstance(register(known, device("old", at=5), 3), Unchanged)
    as_old = device("as old", at=10)
    assert register(known, as_old, 3) == Changed([known[0], known[2], as_old], "registered", 1)
    refreshed = device("b", "moved", 11)
    assert register(known, refreshed, 1) == Changed([known[0], refreshed, known[2]], "refreshed")
    assert register(known, new, 2) == Changed([known[0], new], "registered", 2)


def test_a_device_is_removed_by_its_id() -> None:
    """Whatever its address is; one that nobody knows is no mistake."""
    assert remove([PHONE, TABLET], "phone", NOW, NOW) == Changed([TABLET], "removed")
    assert isinstance(remove([TABLET], "phone", NOW, NOW), Unchanged)


@pytest.mark.parametrize(
    ("registered_at", "asked_at", "removed"),
    [
        (NOW, NOW, True),
        (NOW, NOW - 5_000, True),  # two clocks that differ
        (NOW, NOW - REMOVAL_OLD_MS, True),
        (NOW, NOW - REMOVAL_OLD_MS - 1, False),
        (2 * NOW, NOW, True),  # a registration from the future is as of now
    ],
)
def test_a_removal_that_is_far_older_than_the_registration_changes_nothing(
    registered_at: int, asked_at: int, removed: bool
) -> None:
    """It is read for a second time, or was on its way for days; a little older is what two clocks make of it."""
    decision = remove([device("phone", at=registered_at)], "phone", asked_at, NOW)
    assert isinstance(decision, Changed) is removed


@pytest.mark.parametrize(
    ("registered_at", "gone_at", "sent_as_of", "removed"),
    [
        (10, 10, 10, True),
        (10, 9, 10, False),  # APNs knows it to be gone since before it was registered again
        (11, 20, 10, False),  # registered again while the push was under way
        (10, 20, 10, True),
        (10, 20, 30, True),
    ],
)
def test_a_gone_address_is_removed_unless_it_was_registered_since(
    registered_at: int, gone_at: int, sent_as_of: int, removed: bool
) -> None:
    """Since it was gone, and since the push left.

    10          11                 20
    |-push------|------------------|-gone
    registered  registered again
    """
    known = [TABLET, device("phone", "a", registered_at)]
    decision = remove_gone(known, ProviderName.APNS, "a", gone_at, sent_as_of)
    assert decision == Changed([TABLET], "gone") if removed else isinstance(decision, Unchanged)


def test_what_is_gone_already_is_not_gone_again() -> None:
    """Nor is the same address of another provider."""
    assert isinstance(remove_gone([], ProviderName.APNS, "a", NOW, NOW), Unchanged)
    assert isinstance(remove_gone([device("a")], ProviderName.FCM, "a", NOW, NOW), Unchanged)


def test_a_whole_record_that_names_a_device_twice_names_it_once() -> None:
    """By its id or by its address; the newest word counts, the order stays."""
    old, new, other = device("a", "1", 10), device("a", "2", 20), device("b", "3", 5)
    assert distinct([old, other, new]) == [other, new]
    same_address = device("c", "2", 30)
    assert distinct([new, same_address, other]) == [same_address, other]
    assert distinct([old, old]) == [old]
