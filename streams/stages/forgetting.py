"""Erasure of a user: the command that reaches each partition, and what every stage does alike with it.

    device-changes of the user ── deliver ──→ verdicts of each partition ── suppress ──→ scheduled ── schedule

A user's slots are spread over all partitions, so the deliver lane of the user is asked, and then each lane of suppress
and of schedule, behind what deliver had on its way there. A step looks at so many rows; where there are more, it puts
the next round behind the command, in the transaction of what it has done. The first round of deliver and of schedule
removes no row: what came before it in the same step is not in their tables yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.codec import Codec
from schemas.keys import TYPE_BYTES_MAX, check_user_id
from schemas.poison import PoisonError
from streams.lane.chunk import Record
from streams.stages.device_change import check_request

if TYPE_CHECKING:  # commands read what these write, and need no Faust for it
    from streams.lane.table import LaneTable

ROWS_MAX = 500  # that one round looks at
ERASED_HEADER = "ringonce-erased"  # on what schedule lets go at once: it is sent to nobody any more


class Forget(NamedTuple):
    """The command; the fields are those of schemas/avsc/forget.avsc."""

    user: bytes
    request_id: str
    requested_by: str
    requested_at: int
    round: int = 0
    after: bytes = b""
    removed: Mapping[str, int] = {}
    kept: Mapping[str, int] = {}
    slots_kept_until: int | None = None

    @property
    def source(self) -> str:
        """Who asked, for people."""
        return f"request {self.request_id} of {self.requested_by or 'an unnamed caller'}"

    def first(self) -> Forget:
        """Return the command as whoever asked has written it."""
        return Forget(self.user, self.request_id, self.requested_by, self.requested_at)

    def next(
        self,
        after: bytes,
        removed: Mapping[str, int],
        kept: Mapping[str, int],
        slots_kept_until: int | None = None,
    ) -> Forget:
        """Return the next round, with what this one has done."""
        instants = [at for at in (self.slots_kept_until, slots_kept_until) if at is not None]
        return self._replace(
            round=self.round + 1,
            after=after,
            removed=_sum(self.removed, removed),
            kept=_sum(self.kept, kept),
            slots_kept_until=max(instants, default=None),
        )


def _sum(before: Mapping[str, int], now: Mapping[str, int]) -> Mapping[str, int]:
    return {name: before.get(name, 0) + now.get(name, 0) for name in {**before, **now}}


def is_erased(record: Record) -> bool:
    """Whether schedule let it go because its user was erased."""
    return any(name == ERASED_HEADER for name, _ in record.headers)


def slot_of(key: bytes, prefix: bytes) -> bytes:
    """Return the slot in a key that says its length in two bytes behind the prefix."""
    start = len(prefix) + 2
    return key[start : start + int.from_bytes(key[len(prefix) : start], "big")]


def is_forget(codec: Codec, value: bytes | None) -> bool:
    """Whether a value is a Forget, by its header alone."""
    return value is not None and codec.body_start(value, "Forget") > 0


def read_forget(body: Mapping[str, Any], key: bytes | None) -> Forget:
    """Read the command. Raises PoisonError."""
    if key is None:
        raise PoisonError("NO_KEY", "the record has no key; it must be the user_id")
    if body["user_id"].encode() != key:
        raise PoisonError("KEY_MISMATCH", f"the key {key!r} is not the user_id {body['user_id']!r}")
    check_user_id(key)
    check_request(body["request_id"], body["requested_by"])
    return Forget(key, *(body[name] for name in Forget._fields[1:]))


def write_forget(codec: Codec, forget: Forget, topic: str) -> bytes:
    """Write the command as the value of a record."""
    fields = forget._asdict()
    return codec.encode("Forget", {"user_id": fields.pop("user").decode(), **fields}, topic)


def write_answer(codec: Codec, forget: Forget, stage: str, partition: int, now: int, topic: str) -> bytes:
    """Write the answer of a partition: `forget` is what a further round would be."""
    answer = {
        "request_id": forget.request_id,
        "user_id": forget.user.decode(),
        "stage": stage,
        "partition": partition,
        "at": now,
        "removed": {name: count for name, count in forget.removed.items() if count},
        "kept": {name: count for name, count in forget.kept.items() if count},
        "slots_kept_until": forget.slots_kept_until,
    }
    return codec.encode("ForgetAnswer", answer, topic)


class Found(NamedTuple):
    """Rows of a user among those that a round looked at. `after`: the last key that it looked at, None: there are no
    more."""

    rows: list[tuple[bytes, bytes]]
    after: bytes | None


def rows_of_user(table: LaneTable, partition: int, prefix: bytes, user: bytes, after: bytes, limit: int) -> Found:
    """Look at `limit` committed rows behind `after` whose key is `prefix`, the length of a slot in two bytes, a slot
    that begins like one of this user, and more."""
    return _look(table, partition, _stretches(prefix, user), after, limit)


def slots_of_user(table: LaneTable, partition: int, prefix: bytes, user: bytes, after: bytes, limit: int) -> Found:
    """Look at `limit` committed rows behind `after` whose key is `prefix`, a slot that begins like one of this user,
    and perhaps a number."""
    return _look(table, partition, ((prefix + user + b":", None),), after, limit)


def _look(
    table: LaneTable, partition: int, stretches: Iterable[tuple[bytes, int | None]], after: bytes, limit: int
) -> Found:
    """Rows of a user whose name goes on behind a colon lie between, as many as there are of these: so what bounds a
    round is what it looks at, not what it finds."""
    rows: list[tuple[bytes, bytes]] = []
    left = limit
    for start, slot_end in stretches:
        if start + b"\xff" <= after:
            continue
        looked_at = table.scan(partition, max(start, after + b"\0"), start + b"\xff", left)
        rows += [(key, row) for key, row in looked_at if b":" not in key[len(start) : slot_end]]
        left -= len(looked_at)
        if not left:
            return Found(rows, looked_at[-1][0])
    return Found(rows, None)


def _stretches(prefix: bytes, user: bytes) -> Iterator[tuple[bytes, int]]:
    """Where the rows of each length of type begin, and where the slot ends in their keys: its length stands before."""
    slot_at = len(prefix) + 2
    for size in range(len(user) + 2, len(user) + 2 + TYPE_BYTES_MAX):
        yield prefix + size.to_bytes(2, "big") + user + b":", slot_at + size
