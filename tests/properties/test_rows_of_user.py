"""Which rows are of a user, when names begin alike and hold colons: against taking every key apart."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from schemas.keys import slot_key, split_slot_key
from streams.lane.table import LaneTable
from streams.stages.forgetting import Found, rows_of_user, slots_of_user
from streams.stages.slots_table import PLACE_PREFIX, place_key
from tests.simulation.tables import new_table, unstarted_app

SEEDS = 30
USERS = ("u", "u:", "u:a", "u:aa", "u:a:a", "uu", "a:u", ":u", "u\xff", "u:z", "t")
TYPES = ("a", "aa", "aaa", "z", "zz", "zzz", "a.a", "Z" * 64)
Look = Callable[[LaneTable, int, bytes, bytes, bytes, int], Found]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> LaneTable:
    """A table with a partition for each seed and kind of key."""
    return new_table(unstarted_app(tmp_path_factory.mktemp("rows"), 2 * SEEDS), LaneTable, "deliveries")


def sized(slot: bytes, number: int) -> bytes:
    """A key as deliver and schedule have them."""
    return b"d" + len(slot).to_bytes(2, "big") + slot + b"\0:id:%d" % number


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize(
    ("look", "prefix", "key_of"), [(rows_of_user, b"d", sized), (slots_of_user, PLACE_PREFIX, place_key)]
)
def test_all_rows_of_a_user_are_found_and_no_others(
    table: LaneTable, seed: int, look: Look, prefix: bytes, key_of: Callable[[bytes, int], bytes]
) -> None:
    """However few a round looks at, and however many rows of others lie between."""
    chance, partition = random.Random(seed), 2 * seed + (look is rows_of_user)
    slots = [slot_key(user, kind) for user in USERS for kind in TYPES]
    keys = {key_of(slot, number): slot for slot in chance.sample(slots, 60) for number in range(chance.randint(1, 3))}
    table.apply(partition, {**dict.fromkeys(keys, b"row"), b"a": b"", b"\xff": b""}, 0)
    for user in USERS:
        limit, after, found, rounds = chance.randint(1, 8), b"", list[bytes](), 0
        while True:
            rows, reached = look(table, partition, prefix, user.encode(), after, limit)
            found += [key for key, _ in rows]
            rounds += 1
            if reached is None:
                break
            assert after < reached, "it goes on behind what it has looked at"
            after = reached
        assert found == sorted(key for key, slot in keys.items() if split_slot_key(slot)[0] == user)
        assert rounds <= len(keys) // limit + 1
