"""One step of suppress: what its decisions have changed so far, laid over what the table holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from schemas.heads import LocalTime
from schemas.keys import partition_of, split_slot_key
from schemas.notification import (
    Head,
    StatusWriters,
    read_slot,
    write_deferral,
    write_delivery,
    write_local_deferral,
    write_slot,
)
from schemas.poison import PoisonError
from schemas.records import State
from streams.lane.chunk import Record
from streams.lane.step import NO_HEADERS, Headers, Step
from streams.policies.identity import seen_digest
from streams.policies.local_time import instant_of
from streams.policies.suppression import (
    OTHER_TYPES,
    Admit,
    Ask,
    Defer,
    Duplicate,
    Place,
    SlotPolicy,
    Suppress,
    decide,
    settle,
)
from streams.stages.blocks import Block
from streams.stages.dead_letters import VALUE_BYTES_MAX, dead_letter, letter_key
from streams.stages.origin import Origin, with_origin
from streams.stages.slots_table import ID_MARKS, ID_PREFIX, PLACE_PREFIX, place_key, read_mark
from streams.stages.suppress_metrics import DECISIONS
from streams.time_zones import zone_named
from streams.tracing import Hop, StepSpans

if TYPE_CHECKING:
    from streams.stages.suppress import SuppressDecider

SEEN_MS = 24 * 3600 * 1000  # ids are remembered for a day: the longest that producers are expected to retry
FINAL, DEFERRED = ID_MARKS
PASSED_ON = (Admit, Defer, Ask)
_new: Final = tuple.__new__  # Place._make costs 0.3 µs more; the fields of a row are those of a place
SUPPRESSED_REASONS = {
    "HELD": b"the slot is held by a notification that is being sent",
    "ACCEPTED": b"another notification was sent within the window",
    "UNKNOWN": b"another notification may have been sent within the window",
}
DUPLICATE_REASONS = {"FINAL": b"seen before", "DEFERRED": b"scheduled before"}

Event = tuple[Head, bytes, Record, Origin, Callable[[Record, Head], bytes]]
"""(head, slot key, record, origin, how to get the body): a notification that could be read."""


def readable_slot(key: bytes) -> bytes:
    """Return the key if it is one of a slot, else nothing: a status must be text."""
    try:
        split_slot_key(key)
    except PoisonError:
        return b""
    return key


def _send_at(head: Head, local: LocalTime) -> tuple[int | None, bool]:
    """Return when it is to be sent, and whether that is a local time in a zone that is not known here.

    Raises PoisonError for a zone that there is not.
    """
    if local.zone is None:
        return None, True
    zone = zone_named(local.zone)
    if zone is None:
        raise PoisonError("INVALID_FIELD", f"time_zone: there is no zone {local.zone[:100]!r}")
    return head.send_at if local.at is None else instant_of(local.at, zone), False


def _too_large(record: Record) -> PoisonError:
    return PoisonError("TOO_LARGE", f"{len(record.value or b'')} bytes, at most {VALUE_BYTES_MAX} can be passed on")


class SuppressStep:
    """Collects the effects of one step. A later decision of the step sees what an earlier one has changed."""

    def __init__(self, stage: SuppressDecider, now: int) -> None:
        self.step = Step()
        self.now = now
        self._stage = stage
        self._partition = stage.partition
        self._places: dict[bytes, Place | None] = {}
        self._seen: dict[bytes, bytes] = {}
        self._ids: list[bytes] = []
        self._decided: dict[State, list[str]] = {decision: [] for decision in DECISIONS}
        self._admitted_of: list[int] = []
        self._changed: dict[bytes, Place | None] = {}
        self._swept: dict[bytes, bytes | None] = {}
        self._writers = StatusWriters("suppress", now, stage.headers["Status"])
        self._statuses = self.step.output(stage.topics.statuses, self._partition)
        self._headers = NO_HEADERS  # of all that comes of the event that is decided on
        self._hop: Hop | None = None
        self._spans: StepSpans | None = None
        if stage.tracer is not None:
            self._spans = StepSpans(stage.tracer, "suppress", stage.partition)
            self.step.committed.append(self._spans.committed)

    def decide_all(self, events: Sequence[Event], released: bool) -> None:
        """Decide on notifications in their order, with one read of the table for all of them."""
        now, stage, places, seen, decided = self.now, self._stage, self._places, self._seen, self._decided
        digests = [seen_digest(slot, head.notification_id) for head, slot, _, _, _ in events]  # `*_` makes a list each
        wanted = [ID_PREFIX + digest for digest in digests]  # a call of id_key for each costs as much as the rest
        wanted += [PLACE_PREFIX + slot for _, slot, _, _, _ in events]
        rows = stage.table.read(self._partition, wanted)
        count = len(events)
        oldest, tracer = now - SEEN_MS, stage.tracer
        for index, (head, slot, record, origin, body_of) in enumerate(events):
            digest, mark_row, row = digests[index], rows[index], rows[count + index]
            if tracer is not None:
                self._hop = tracer.begin(record.headers, slot, head.notification_id, record.timestamp)
                self._headers = self._hop.headers
            policy = stage.policy_of(slot)
            if policy is None:
                kind = slot.rpartition(b":")[2].decode()
                self.give_up(
                    PoisonError("UNKNOWN_TYPE", f"no type {kind!r} in the types file"), record, origin, slot, head
                )
                continue
            fresh = seen.get(digest)
            if fresh is None and mark_row is not None:
                mark = read_mark(mark_row)
                remembered = mark.seen if mark.at > oldest else None
            else:
                remembered = None if fresh is None else "FINAL" if fresh == FINAL else "DEFERRED"
            if slot not in places:
                if row is None and mark_row is None and not self._is_ours(slot, record, origin, head):
                    continue
                places[slot] = None if row is None else _new(Place, read_slot(row))
            send_at, zone_unknown = head.send_at, False
            if head.local is not None and not released:
                try:
                    send_at, zone_unknown = _send_at(head, head.local)
                except PoisonError as error:
                    self.give_up(error, record, origin, slot, head)
                    continue
            held = (places[slot],) if policy.limit == 1 else self._all_places(slot, policy)
            decision = decide(
                head.notification_id, send_at, head.expires_at, held, remembered, now, policy, released, zone_unknown
            )
            if isinstance(decision, Suppress):
                self._status(
                    origin, slot, head, "SUPPRESSED", SUPPRESSED_REASONS[decision.phase], decision.by, decision.until
                )
                decided["SUPPRESSED"].append(policy.label)
                mark_byte = FINAL
            elif isinstance(decision, PASSED_ON) and len(record.value or b"") > VALUE_BYTES_MAX:
                # With what is put around it, no broker with the usual limits would take it on the next topic.
                self.give_up(_too_large(record), record, origin, slot, head)
                mark_byte = FINAL
            elif isinstance(decision, Admit):
                # Held back and released, it is told from its earlier admission by when it was admitted.
                earlier = 0 if mark_row is None else read_mark(mark_row).at
                self._admit(decision, head, slot, record, origin, body_of, earlier, policy.bulk)
                decided["ADMITTED"].append(policy.label)
                self._admitted_of.append(record.timestamp)
                mark_byte = FINAL
            elif isinstance(decision, Duplicate):
                self._status(origin, slot, head, "DUPLICATE", DUPLICATE_REASONS[decision.seen], head.notification_id)
                decided["DUPLICATE"].append(policy.label)
                continue
            elif isinstance(decision, Defer):
                body = body_of(record, head)
                value = write_deferral(decision.due_at, *origin, body, stage.headers["Deferral"])
                self.step.emit(stage.topics.scheduled, self._partition, slot, value, self._headers)
                self._status(origin, slot, head, "DEFERRED", b"not due yet", None, decision.due_at)
                decided["DEFERRED"].append(policy.label)
                mark_byte = DEFERRED
            elif isinstance(decision, Ask):
                self._ask(head, slot, record, origin, body_of)
                decided["DEFERRED"].append(policy.label)
                mark_byte = DEFERRED
            else:
                self._status(origin, slot, head, "EXPIRED", b"of no use any more when it was its turn")
                decided["EXPIRED"].append(policy.label)
                mark_byte = FINAL
            seen[digest] = mark_byte
            self._ids.append(digest + mark_byte)
        self._headers, self._hop = NO_HEADERS, None

    def _admit(
        self,
        decision: Admit,
        head: Head,
        slot: bytes,
        record: Record,
        origin: Origin,
        body_of: Callable[[Record, Head], bytes],
        earlier: int,
        bulk: bool,
    ) -> None:
        stage, place = self._stage, decision.place
        if earlier >= place.admitted_at:
            place = place._replace(admitted_at=earlier + 1)
        self._change(place_key(slot, decision.number), place)
        if decision.number == 0:
            self._places[slot] = place
        topic, header = stage.bulk if bulk else stage.outbox
        value = write_delivery(place.admitted_at, place.send_by, 1, (), *origin, body_of(record, head), header)
        user = slot.rpartition(b":")[0]
        self.step.emit(topic, partition_of(user, stage.partitions), user, value, self._headers)
        self._status(origin, slot, head, "ADMITTED", b"the window is free", None, place.send_by)

    def _ask(
        self, head: Head, slot: bytes, record: Record, origin: Origin, body_of: Callable[[Record, Head], bytes]
    ) -> None:
        """Ask whoever knows the user's zone when its local time is; he puts it on `scheduled`."""
        stage, user = self._stage, slot.rpartition(b":")[0]
        value = write_local_deferral(self.now, *origin, body_of(record, head), stage.headers["LocalDeferral"])
        self.step.emit(stage.topics.outbox, partition_of(user, stage.partitions), user, value, self._headers)
        self._status(origin, slot, head, "DEFERRED", b"due at a local time of its user")

    def _all_places(self, slot: bytes, policy: SlotPolicy) -> list[Place | None]:
        rows = self._stage.table.places(self._partition, slot, policy.limit)
        keys = [place_key(slot, index) for index in range(policy.limit)]
        return [
            self._changed[key] if key in self._changed else None if row is None else _new(Place, read_slot(row))
            for key, row in zip(keys, rows, strict=True)
        ]

    def _is_ours(self, slot: bytes, record: Record, origin: Origin, head: Head) -> bool:
        """Tell whether the slot belongs to this partition; if not, route the record to the one it belongs to.

        Producers whose partitioner is not Kafka's murmur2 (librdkafka's default is CRC32) spread slots over partitions.
        A slot that has a row here was checked when it got it.
        """
        stage = self._stage
        partition = partition_of(slot, stage.partitions)
        if partition == self._partition:
            return True
        if len(record.value or b"") > VALUE_BYTES_MAX:
            self.give_up(_too_large(record), record, origin, slot, head)
            return False
        self.step.emit(stage.topics.notifications, partition, slot, record.value, with_origin(record, origin))
        return False

    def settle(self, slot: bytes, notification_id: bytes, outcome: str, at: int) -> None:
        """Apply the verdict on a notification, if it still holds a place; one that came too late changes nothing."""
        policy = self._stage.policy_of(slot)
        if policy is None:
            return
        for index, place in enumerate(self._all_places(slot, policy)):
            if place is not None and place.notification_id == notification_id and place.phase == "HELD":
                after = settle(place, outcome, at, policy)  # type: ignore[arg-type] # the contract has no other symbols
                self._change(place_key(slot, index), after)
                if index == 0:
                    self._places[slot] = after
                return

    def hold_back(self, slot: bytes, notification_id: bytes, deferral: bytes, headers: Headers = NO_HEADERS) -> None:
        """Schedule what was admitted and certainly not sent: its slot is free, and its id may come once more."""
        self.settle(slot, notification_id, "FREED", self.now)
        self.step.emit(self._stage.topics.scheduled, self._partition, slot, deferral, headers)
        digest = seen_digest(slot, notification_id)
        self._seen[digest] = DEFERRED
        self._ids.append(digest + DEFERRED)

    def give_up(
        self,
        error: PoisonError,
        record: Record,
        origin: Origin,
        slot: bytes,
        head: Head | None,
        topic: str | None = None,
    ) -> None:
        """Put a record on `dead-letters`. `topic`: where it was read, None: `notifications`."""
        stage = self._stage
        notification_id = None if head is None else head.notification_id.decode()
        place = (topic or stage.topics.notifications, self._partition)
        if topic != stage.topics.verdicts:  # else it is no event
            policy = stage.policy_of(slot) if head is not None else None
            self._decided["DEAD"].append(OTHER_TYPES if policy is None else policy.label)
        letter = dead_letter(
            stage.codec, error, "suppress", place, record, self.now, stage.topics.dead_letters, notification_id
        )
        self.step.emit(stage.topics.dead_letters, self._partition, letter_key(record), letter, self._headers)
        self._status(origin, readable_slot(slot), head, "DEAD", f"{error.code}: {error.reason}".encode())

    def _status(
        self,
        origin: Origin,
        slot: bytes,
        head: Head | None,
        state: State,
        reason: bytes,
        by: bytes | None = None,
        until: int | None = None,
    ) -> None:
        writer = self._writers[origin[0]]
        notification_id = b"" if head is None else head.notification_id
        value = writer.write(notification_id, slot, state, reason, origin[1], 0, by, until)
        self._statuses.append((slot, value, self._headers))
        if self._hop is not None and self._hop.is_sampled:
            self._tell(self._hop, notification_id, slot, state, reason)

    def _tell(self, hop: Hop, notification_id: bytes, slot: bytes, state: State, reason: bytes) -> None:
        assert self._spans is not None, "there is a tracer"
        attributes: dict[str, str | int | float | bool] = {
            "ringonce.notification_id": notification_id.decode(errors="replace"),
            "ringonce.type": slot.rpartition(b":")[2].decode(errors="replace"),
            "ringonce.decision": state,
            "ringonce.reason": reason.decode(errors="replace"),
        }
        self._spans.add(hop.child("queue", hop.started_at, self.now, {}))
        self._spans.add(hop.own("suppress", attributes, reason.decode(errors="replace") if state == "DEAD" else ""))

    def _change(self, key: bytes, place: Place | None) -> None:
        self._changed[key] = place

    def forget(self, rows: Sequence[tuple[bytes, bytes]]) -> list[int]:
        """Remove the places whose window is over; who is erased does not wait for the sweeper. Returns until when the
        others are taken: they have no content, and the promise needs them."""
        kept = []
        for key, row in rows:
            place = self._changed[key] if key in self._changed else _new(Place, read_slot(row))
            if place is not None and place.blocked_until > self.now:
                kept.append(place.blocked_until)
            elif key in self._changed:
                self._changed[key] = None
            else:
                self._swept[key] = None
        return kept

    def sweep(self, key: bytes, block: Block) -> None:
        """Forget a block: its ids, and those of its slots whose window is over."""
        self._swept[key] = None
        if not block.slots:
            return
        for slot_row, row in zip(block.slots, self._stage.table.read(self._partition, block.slots), strict=True):
            if row is not None and slot_row not in self._changed and read_slot(row).blocked_until <= self.now:
                self._swept[slot_row] = None

    def finish(self) -> Step:
        """Return the step with its changes: places, and a block for the ids and one for the slots."""
        changes: dict[bytes, bytes | None] = {
            key: None if place is None else write_slot(*place) for key, place in self._changed.items()
        }
        changes.update({key: None for key in self._swept if key not in changes})
        taken = [(key, place.blocked_until) for key, place in self._changed.items() if place is not None]
        if self._ids:
            self._stage.sweeper.put(changes, Block(self.now, self.now + SEEN_MS, b"".join(self._ids), []))
        if taken:
            # A verdict that comes an hour late ends a window in the past; the sweeper looks ahead only.
            sweep_at = max(self.now + 1, *(until for _, until in taken))
            self._stage.sweeper.put(changes, Block(self.now, sweep_at, b"", [key for key, _ in taken]))
        if changes:
            self.step.changes[self._stage.table.name] = changes
        waited_ms = [max(0, self.now - written_at) for written_at in self._admitted_of]
        self.step.committed.append(partial(self._stage.counts.note, self._decided, waited_ms))
        return self.step
