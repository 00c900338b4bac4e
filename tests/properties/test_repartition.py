"""Rows of one partition are divided among those that it becomes: nothing is lost, and nothing mixed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.keys import partition_of, slot_key
from streams.policies.identity import seen_digest
from streams.repartition.split import Numbers, divided, heirs, place_partition, slot_of_place, user_of
from streams.stages.blocks import BLOCK_PREFIX, Block, block_sweep_at
from streams.stages.slots_table import place_key

USERS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
TYPES = st.from_regex(r"[A-Za-z0-9_.\-]{1,12}", fullmatch=True)
SLOTS = st.builds(slot_key, USERS, TYPES)
OLD = st.integers(1, 12)
FACTOR = st.integers(2, 5)


@given(SLOTS, OLD, FACTOR)
def test_a_key_goes_to_an_heir_of_its_partition(slot: bytes, old: int, factor: int) -> None:
    """Where a key is looked for afterwards is one of the partitions that its old one becomes, for slots and users."""
    new = old * factor
    for key in (slot, user_of(slot)):
        assert partition_of(key, new) in heirs(partition_of(key, old), old, new)


@given(SLOTS, st.integers(0, 20))
def test_the_slot_of_any_place_is_found(slot: bytes, index: int) -> None:
    """Also where a user_id holds colons, NUL and digits."""
    assert slot_of_place(place_key(slot, index)) == slot


@given(st.lists(st.tuples(SLOTS, st.integers(0, 3)), unique=True, max_size=30), OLD, FACTOR, st.data())
def test_a_block_is_divided(places: list[tuple[bytes, int]], old: int, factor: int, data: st.DataObject) -> None:
    """Each row is named by exactly one heir, the one that has it; each id but the dropped ones by all of them."""
    new = old * factor
    partition = data.draw(st.integers(0, old - 1))
    own = [place_key(slot, index) for slot, index in places if partition_of(slot, old) == partition]
    digests = [seen_digest(slot, b"%d" % index) for slot, index in places]
    dropped = set(data.draw(st.lists(st.sampled_from(digests), unique=True))) if digests else set()
    block = Block(5, 9, b"".join(digest + b"\x01" for digest in digests), own)
    parts = dict(divided(block, heirs(partition, old, new), place_partition(new), dropped))
    assert set(parts) <= set(heirs(partition, old, new))
    assert sorted(key for part in parts.values() for key in part.slots) == sorted(own)
    kept = [digest for digest in digests if digest not in dropped]
    for heir, part in parts.items():
        assert all(partition_of(slot_of_place(key), new) == heir for key in part.slots)
        assert [digest for digest, _ in part.digests()] == kept
        assert (part.at, part.sweep_at) == (5, 9)
    if kept:
        assert set(parts) == set(heirs(partition, old, new))


@given(
    st.lists(st.tuples(st.sampled_from(["slots", "schedule"]), st.integers(0, 3), st.integers(0, 2**40)), max_size=40)
)
def test_no_two_blocks_have_the_same_key(blocks: list[tuple[str, int, int]]) -> None:
    """Blocks that are swept at the same instant keep apart, and are swept when they were to be."""
    numbers = Numbers()
    keys = [(table, partition, numbers.key(table, partition, sweep_at)) for table, partition, sweep_at in blocks]
    assert len(set(keys)) == len(keys)
    for (_, _, sweep_at), (_, _, key) in zip(blocks, keys, strict=True):
        assert key.startswith(BLOCK_PREFIX)
        assert block_sweep_at(key) == sweep_at
