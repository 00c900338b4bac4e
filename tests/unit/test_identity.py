"""The ids under which a notification is known outside."""

from __future__ import annotations

import string
import uuid

from hypothesis import given
from hypothesis import strategies as st

from streams.policies.identity import PUSH_NAMESPACE, collapse_id, push_id, seen_digest


def test_the_push_id_is_a_uuid_and_the_same_over_all_attempts() -> None:
    """It depends on the slot, the notification and the device, and on nothing else: its value is pinned."""
    assert push_id(b"u:t", "n", "d") == str(uuid.UUID(push_id(b"u:t", "n", "d"))) == push_id(b"u:t", "n", "d")
    assert push_id(b"u:t", "n", "d") == "6f2c8603-ca17-5136-adaf-da1a873ab593"


@given(st.binary(), st.text(), st.text())
def test_the_push_id_is_that_of_the_standard(slot: bytes, notification_id: str, device_id: str) -> None:
    """A UUID of version 5, as the library makes it."""
    name = f"{slot.hex()} {notification_id} {device_id}"
    assert push_id(slot, notification_id, device_id) == str(uuid.uuid5(PUSH_NAMESPACE, name))


def test_two_pushes_never_share_a_push_id() -> None:
    """Also not where user, id and device are cut differently."""
    ids = {
        push_id(*parts)
        for parts in [
            (b"u:t", "n", "d"),
            (b"u:t", "n d", ""),
            (b"u:t", "n", "e"),
            (b"u:s", "n", "d"),
            (b"u:", "tn", "d"),
        ]
    }
    assert len(ids) == 5


def test_the_collapse_id_fits_the_strictest_provider() -> None:
    """RFC 8030, section 5.4: at most 32 characters of the URL-safe alphabet, whatever the user is called."""
    for slot in (b"u:t", "ü☃:t".encode() * 1, b"x" * 256 + b":" + b"y" * 64):
        assert len(collapse_id(slot)) == 32
        assert set(collapse_id(slot)) <= set(string.ascii_letters + string.digits + "-_")
    assert collapse_id(b"u:t") != collapse_id(b"u:s")


def test_the_digest_keeps_ids_of_different_slots_apart() -> None:
    """The same id for another user or type is another notification; and no cut of the parts makes two alike."""
    parts = [(b"u:t", b"n"), (b"v:t", b"n"), (b"u:s", b"n"), (b"u:t", b"m"), (b"u:tn", b""), (b"u:", b"tn")]
    assert len({seen_digest(*each) for each in parts}) == len(parts)
    assert {len(seen_digest(*each)) for each in parts} == {16}
