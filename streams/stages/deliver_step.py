"""One step of deliver: claims, outcomes and endings that become durable together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from connectors.outcome import Device
from schemas.notification import StatusWriters, write_verdict
from schemas.poison import PoisonError
from schemas.records import FINAL_STATES, State
from schemas.verdicts import VerdictOutcome
from streams.lane.chunk import Record
from streams.lane.step import NO_HEADERS, Headers, Output, Step
from streams.policies.breaking import LEFT_ALONE
from streams.policies.delivering import Claim
from streams.stages.blocks import Block
from streams.stages.cap_rows import CAP_PREFIX, CapRows
from streams.stages.dead_letters import dead_letter, letter_key
from streams.stages.deliver_counts import DeliverNoted
from streams.stages.deliver_entry import Entry
from streams.stages.deliver_traces import DeliverTraces
from streams.stages.delivery_rows import (
    EARLIER_MS,
    STATE_PREFIX,
    DeliveryState,
    earlier_claim,
    read_state,
    write_state,
)
from streams.stages.forgetting import slot_of
from streams.stages.user_devices import UserDevices

if TYPE_CHECKING:
    from streams.stages.deliver import DeliverLane

_new: Final = tuple.__new__  # DeliveryState(...) costs 0.2 µs more.
COMES_AGAIN: Final[tuple[State, ...]] = ("RETRYING", "DEFERRED")
REMEMBERED_MS = 24 * 3600 * 1000  # longer than any delivery lasts; after it, a replay of the same id is a new one


def _with_claim(claims: Mapping[str, Claim], claim: Claim) -> dict[str, Claim]:
    """Put a claim in place of its device's last one, which is kept beside it: a later attempt that certainly was not
    sent does not take back what may have arrived, and a dead letter tells of all attempts."""
    before = claims.get(claim.device_id)
    if len(claims) == (before is not None) and (before is None or before.attempt == claim.attempt):
        return {claim.device_id: claim}  # the only one that there is, as nearly all are
    changed = dict(claims)
    if before is not None and before.attempt < claim.attempt:
        changed[earlier_claim(before)] = before
    changed[claim.device_id] = claim
    return changed


class DeliverStep:
    """Collects the effects of one step, decided at `now`: the same instant as `monotonic` on the monotonic clock."""

    def __init__(self, lane: DeliverLane, now: int, monotonic: float) -> None:
        self.step = Step()
        self.now = now
        self.monotonic = monotonic
        self.settings = lane.settings
        self.topics = lane.topics
        self._lane = lane
        self._states: dict[bytes, DeliveryState] = {}
        self._remembered: list[bytes] = []
        self._directory: dict[bytes, bytes | None] = {}
        self._swept: list[bytes] = []
        self._statuses: dict[int, list[Output]] = {}  # the step's own lists of them, by partition
        self.caps = CapRows(lane.tables.deliveries, lane.partition, now, lane.settings.caps, lane.settings.skew_ms)
        self._writers = StatusWriters("deliver", now, lane.headers["Status"])
        self.devices = UserDevices(self, lane)
        self.traces = DeliverTraces(lane.settings.tracer, self.step, lane.partition, now)
        self.noted = DeliverNoted()
        self.step.committed.append(partial(lane.settings.counts.note, self.noted))

    def directory_rows(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return rows of the directory, changes of this step included."""
        rows = self._lane.tables.directory.read(self._lane.partition, keys)
        if not self._directory:
            return rows
        return [self._directory.get(key, row) for key, row in zip(keys, rows, strict=True)]

    def states(self, keys: Sequence[bytes]) -> list[DeliveryState]:
        """Return what is known of notifications, changes of this step included."""
        rows = self._lane.tables.deliveries.read(self._lane.partition, keys)
        return [self._states.get(key) or read_state(row) for key, row in zip(keys, rows, strict=True)]

    def put_directory(self, key: bytes, row: bytes | None) -> None:
        """Set or remove what the directory has of a user."""
        self._directory[key] = row

    def claim(self, entry: Entry, devices: Sequence[Device], reason: str) -> None:
        """Claim the attempt for these devices: only when this is durable may a request leave."""
        claims = entry.state.claims
        if entry.attempt == 1:
            waited_ms = max(0, self.now - entry.delivery["admitted_at"])
            self.noted.claimed_ms.setdefault(entry.policy.priority, []).append(waited_ms)
        for device in devices:
            claim = _new(Claim, (device.device_id, device.provider._value_, entry.attempt, "SENDING", self.now, ""))
            claims = _with_claim(claims, claim)
        self._put(entry, _new(DeliveryState, (entry.attempt, False, self.now, claims, entry.state.admitted_at)))
        if entry.hop is not None:
            self.traces.claimed(entry, len(devices))
        self.status(entry, "SENDING", reason, until=entry.delivery["send_by"])

    def note(self, entry: Entry, claim: Claim, remark: str = "") -> None:
        """Note the outcome for one device; the remark is for whoever reads the status."""
        self._count(entry.state.claims.get(claim.device_id), claim)
        claims = _with_claim(entry.state.claims, claim)
        self._put(entry, _new(DeliveryState, (entry.attempt, False, self.now, claims, entry.state.admitted_at)))
        self.status(entry, "ATTEMPTED", f"{claim.phase}: {claim.reason}{remark}", claim.provider, claim.device_id)

    def _count(self, before: Claim | None, claim: Claim) -> None:
        accepted = claim.phase == "ACCEPTED"
        self.noted.sends[claim.provider, claim.phase, "" if accepted else claim.reason] += 1
        if accepted and before is not None:
            self.noted.accepted_ms.setdefault(claim.provider, []).append(max(0, claim.at - before.at))

    def retry(self, entry: Entry, due_at: int, reason: str | None = None) -> None:
        """Put the next attempt on `scheduled`, for the devices that it is for; for none: as its type says.

        `reason`: None, what they were told.
        """
        lane = self._lane
        delivery = {**entry.delivery, "attempt": entry.attempt + 1, "devices": entry.retry}
        value = lane.codec.encode("Retry", {"due_at": due_at, "delivery": delivery}, lane.topics.scheduled)
        self.step.emit(lane.topics.scheduled, entry.slot_partition, entry.slot, value, entry.headers)
        # This one is concluded and the next one is not: so a row tells whether its notification has ended.
        self._put(entry, entry.state._replace(attempt=entry.attempt + 1, concluded=False, at=self.now))
        self.noted.retries[entry.delivery["notification"]["type"]] += 1
        told = (entry.state.claims[device_id].reason for device_id in entry.retry if device_id in entry.state.claims)
        self.status(entry, "RETRYING", reason or next(told, LEFT_ALONE), until=due_at)

    def delay(self, entry: Entry, due_at: int, reason: str) -> None:
        """Open it again later, as it is: nothing of this attempt has begun, and its slot stays held."""
        lane = self._lane
        value = lane.codec.encode("Retry", {"due_at": due_at, "delivery": entry.delivery}, lane.topics.scheduled)
        self.step.emit(lane.topics.scheduled, entry.slot_partition, entry.slot, value, entry.headers)
        self.status(entry, "RETRYING", reason, until=due_at)

    def concluded(self, entry: Entry) -> None:
        """Note that nothing more is to be done for this attempt."""
        state = entry.state
        self._put(entry, _new(DeliveryState, (entry.attempt, True, self.now, state.claims, state.admitted_at)))

    def defer(self, entry: Entry, due_at: int, topic: str) -> None:
        """Let it wait until it is due: by `scheduled`, or by `verdicts`, where suppress frees its slot before."""
        lane, delivery = self._lane, entry.delivery
        origin = {name: delivery[name] for name in ("origin_partition", "origin_offset")}
        deferral = {"due_at": due_at, **origin, "notification": delivery["notification"]}
        value = lane.codec.encode("Deferral", deferral, topic)
        self.step.emit(topic, entry.slot_partition, entry.slot, value, entry.headers)

    def verdict(self, entry: Entry, outcome: VerdictOutcome, at: int) -> None:
        """Tell suppress what became of the holder of the slot."""
        self.leave_caps(entry, outcome, at)
        lane = self._lane
        value = write_verdict(lane.headers["Verdict"], entry.subject.notification, outcome, at)
        self.step.emit(lane.topics.verdicts, entry.slot_partition, entry.slot, value, entry.headers)

    def turned_away(self, entry: Entry, reason: str, until: int, by: str) -> None:
        """Say that a cap has no room for it until `until`, when the place of the notification `by` is free."""
        lane, delivery = self._lane, entry.delivery
        writer = self._writers[delivery["origin_partition"]]
        origin_offset, notification_id = delivery["origin_offset"], entry.notification_id.encode()
        self.noted.ended[delivery["notification"]["type"], "SUPPRESSED"] += 1
        if entry.hop is not None:
            self.traces.ended(entry, "SUPPRESSED", reason)
        value = writer.write(
            notification_id, entry.slot, "SUPPRESSED", reason.encode(), origin_offset, entry.attempt, by.encode(), until
        )
        self.step.emit(lane.topics.statuses, entry.slot_partition, entry.slot, value, entry.headers)

    def leave_caps(self, entry: Entry, outcome: VerdictOutcome, at: int) -> None:
        """Note its end where it holds a place of the user's caps."""
        if self.settings.caps:
            self.caps.settle(entry.user, entry.capped, outcome, at)

    def dead(self, entry: Entry, error: PoisonError) -> None:
        """Put an entry on `dead-letters`, with the answers that it got."""
        history = [
            f"attempt {claim.attempt} {claim.provider} {claim.device_id}: {claim.phase} {claim.reason}"
            for claim in sorted(entry.state.claims.values(), key=lambda claim: claim.attempt)
        ]
        self.poison(error, entry.record, entry.topic, entry.notification_id, history, entry.headers)

    def poison(
        self,
        error: PoisonError,
        record: Record,
        topic: str,
        notification_id: str | None = None,
        history: Sequence[str] = (),
        headers: Headers = NO_HEADERS,
    ) -> None:
        """Put a record on `dead-letters`."""
        lane = self._lane
        letter = dead_letter(
            lane.codec,
            error,
            "deliver",
            (topic, lane.partition),
            record,
            self.now,
            lane.topics.dead_letters,
            notification_id,
            history,
        )
        self.step.emit(lane.topics.dead_letters, lane.partition, letter_key(record), letter, headers)

    def status(
        self,
        entry: Entry,
        state: State,
        reason: str,
        provider: str | None = None,
        device_id: str | None = None,
        until: int | None = None,
    ) -> None:
        """Add one status, where suppress put those before it: in the partition of the slot."""
        lane = self._lane
        if state in FINAL_STATES:
            self.noted.ended[entry.delivery["notification"]["type"], state] += 1
        if entry.hop is not None and (state in FINAL_STATES or state in COMES_AGAIN):
            self.traces.ended(entry, state, reason)
        value = self._writers[entry.delivery["origin_partition"]].write_of(
            entry.subject,
            state,
            reason.encode(),
            until,
            None if provider is None else provider.encode(),
            None if device_id is None else device_id.encode(),
        )
        records = self._statuses.get(entry.slot_partition)
        if records is None:
            records = self.step.output(lane.topics.statuses, entry.slot_partition)
            self._statuses[entry.slot_partition] = records
        records.append((entry.slot, value, entry.headers))

    def _put(self, entry: Entry, state: DeliveryState) -> None:
        if entry.state.attempt == 0 and not entry.state.claims and entry.key not in self._states:
            self._remembered.append(entry.key)
        entry.state = state
        self._states[entry.key] = state

    def forget(self, key: bytes, block: Block) -> None:
        """Sweep a block: the notifications in it are older than a day, unless their ids were used again since."""
        self._swept.append(key)
        if block.slots and block.slots[0].startswith(CAP_PREFIX):
            self.caps.forget(block)
            return
        for row_key, state in zip(block.slots, self.states(block.slots), strict=True):
            if state.at > block.sweep_at - EARLIER_MS:
                self._remembered.append(row_key)
            else:
                self._swept.append(row_key)

    def has_changed(self, user: bytes) -> bool:
        """Whether this step has changed rows of a user's notifications: a scan of the table does not see that."""
        return any(slot_of(key, STATE_PREFIX).rpartition(b":")[0] == user for key in self._states)

    def drop_concluded(self, key: bytes) -> bool:
        """Remove the row of a notification that has ended, which this step has not changed."""
        if not self.states([key])[0].concluded:
            return False
        self._swept.append(key)
        return True

    def finish(self) -> Step:
        """Return the step with its changes."""
        changes: dict[bytes, bytes | None] = dict.fromkeys(self._swept)
        changes.update({key: write_state(state) for key, state in self._states.items()})
        if self._remembered:
            block = Block(self.now, self.now + REMEMBERED_MS, b"", self._remembered)
            self._lane.sweeper.put(changes, block)
        self.caps.finish(changes, self._lane.sweeper)
        if changes:
            self.step.changes[self._lane.tables.deliveries.name] = changes
        self.devices.finish(self.step)
        if self._directory:
            self.step.changes[self._lane.tables.directory.name] = self._directory
        return self.step
