"""Whether the promise was kept in a simulated world: the auditor's pure checks, and a naive oracle.

Everything is read from the record: committed records, changelogs, and the log of the providers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from schemas.poison import PoisonError
from streams.audit.auditor import cap_terms, rules_of_slots, split_state_key, status_row
from streams.audit.cap_checks import CapHistory, CapTerms, check_caps
from streams.audit.event_ledger import EventLedger
from streams.audit.rows import ClaimRow, PushRow, Rules, SlotHistory, StatusRow, Violation
from streams.audit.slot_checks import check_slot
from streams.audit.state_checks import StateReport, check_cap_rows, check_state
from streams.policies.identity import push_id
from streams.stages.delivery_rows import DEVICES_PREFIX, STATE_PREFIX, read_devices
from streams.stages.origin import ORIGIN_HEADER
from tests.simulation.simulated_broker import START_MS
from tests.simulation.world import World

SETTLE_MS = 30 * 60_000  # longer than any outage of a scenario: so long may a verdict be under way
DAY_MS = 86_400_000
ROWS_LEFT_MAX = 8  # of a table, in a partition, when everything is over: what it says of itself, not of events


@dataclass(slots=True)
class Judgement:
    """What came of a world."""

    events: int = 0
    pushes: int = 0
    final: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)


class Judge:
    """Looks at a world that has come to its end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rules_of = rules_of_slots(world.settings, world.types)
        self._terms = cap_terms(world.settings, world.types)
        self._statuses: dict[bytes, list[StatusRow]] = defaultdict(list)
        self._claims: dict[bytes, list[ClaimRow]] = defaultdict(list)
        self._pushes: dict[bytes, list[tuple[PushRow, int]]] = defaultdict(list)  # with the instant at which it left

        self._cancelled: dict[tuple[bytes, str], int] = {}
        self._moved: dict[tuple[bytes, str], int] = {}

    def judge(self) -> Judgement:
        """Check everything."""
        judgement = Judgement()
        self._read(judgement)
        users: dict[bytes, CapHistory] = defaultdict(CapHistory)
        for slot in sorted({*self._statuses, *self._pushes}):
            rules = self._rules_of(slot)
            if rules is None:
                continue
            pushes = [push for push, _ in self._pushes[slot]]
            history = SlotHistory(slot, self._statuses[slot], self._claims[slot], pushes)
            judgement.violations += check_slot(history, rules, 0, SETTLE_MS)
            users[slot.rpartition(b":")[0]].add(history, self._terms.skew_ms)
            judgement.violations += too_close(slot, pushes, rules)
            judgement.violations += sent_as_two(slot, self._statuses[slot])
            judgement.violations += self._untimely(slot)
            judgement.violations += self._against_wishes(slot)
        for user, capped in users.items():
            judgement.violations += check_caps(capped, self._terms, 0)
            judgement.violations += too_many(user, self._pushes, self._terms)
        judgement.violations += self._told()
        judgement.violations += self._state()
        return judgement

    def _read(self, judgement: Judgement) -> None:
        world = self._world
        topics, broker, codec = world.topics, world.broker, world.codec
        ledger = EventLedger(SETTLE_MS)
        for partition, record in broker.records(topics.notifications):
            if not any(name == ORIGIN_HEADER for name, _ in record.headers):
                ledger.event(partition, record.offset)
        for partition, record in broker.records(topics.statuses):
            row = status_row(
                codec.decode(record.value, ("Status",)).record, record, f"statuses-{partition}@{record.offset}"
            )
            ledger.status(record.key or b"", row)
            self._statuses[record.key or b""].append(row)
        read_up_to = {
            partition: world.broker.end((topics.notifications, partition))
            for partition in range(world.scenario.partitions)
        }
        ledger.close(broker.now_ms(), read_up_to, complete=True)
        judgement.events, judgement.final = ledger.events, ledger.final
        judgement.violations += ledger.violations
        for _, record in broker.records(topics.answers):
            answer = codec.decode(record.value, ("ScheduleAnswer",)).record
            if answer["outcome"] == "CANCELLED":
                self._cancelled[record.key or b"", answer["notification_id"]] = answer["at"]
            elif answer["outcome"] == "MOVED":
                self._moved[record.key or b"", answer["notification_id"]] = answer["due_at_after"]
        names: dict[str, bytes] = {}
        changelog = topics.changelog("deliveries")
        for partition, record in broker.records(changelog):
            if record.value is None or record.key is None or not record.key.startswith(STATE_PREFIX):
                continue
            slot, notification_id = split_state_key(record.key)
            state = codec.decode(record.value, ("DeliveryState",)).record
            for claim in state["claims"]:
                names[push_id(slot, notification_id, claim["device_id"])] = slot
                self._claims[slot].append(
                    ClaimRow(
                        notification_id,
                        claim["device_id"],
                        claim["attempt"],
                        claim["phase"],
                        claim["at"],
                        record.timestamp,
                        f"{changelog}-{partition}@{record.offset}",
                    )
                )
        for name, provider in world.providers.items():
            for number, taken in enumerate(provider.log):
                judgement.pushes += 1
                push = PushRow(
                    taken.notification_id, taken.at, name.value, taken.address, taken.push_id, f"{name.value} {number}"
                )
                known = names.get(taken.push_id)
                if known is None:
                    sentence = f"{taken.notification_id} reached {name.value} and nothing was ever claimed for it"
                    judgement.violations.append(Violation("P2", sentence, taken.at, None, (taken.notification_id,)))
                else:
                    self._pushes[known].append((push, taken.written_at))
        for pushes in self._pushes.values():
            pushes.sort(key=lambda each: each[0].at)

    def _untimely(self, slot: bytes) -> Iterator[Violation]:
        """What `send_by`, the age of a claim, a due time and an expiry forbid, whether or not a window suffered."""
        settings = self._world.settings
        skew_ms, grace_ms = int(settings.clock_skew_seconds_max * 1000), int(settings.grace_seconds * 1000)
        age_ms_max = int(settings.session_timeout_seconds * 1000)
        send_by = {row.notification_id: row.until or 0 for row in self._statuses[slot] if row.state == "ADMITTED"}
        for row in self._statuses[slot]:
            latest = send_by.get(row.notification_id)
            if latest is None:
                continue
            if row.state == "SENDING" and row.at >= latest:
                yield self._late(slot, row.notification_id, row.at, "was claimed", row.at - latest)
            if row.state == "RETRYING" and (row.until or 0) >= latest:
                yield self._late(slot, row.notification_id, row.at, "will be tried again", (row.until or 0) - latest)
        for push, written_at in self._pushes[slot]:
            notification_id = push.notification_id
            latest = send_by.get(notification_id, written_at)
            if written_at > latest + skew_ms:
                yield self._late(slot, notification_id, written_at, "left", written_at - latest)
            claimed_at = max(
                (
                    claim.timestamp
                    for claim in self._claims[slot]
                    if claim.notification_id == notification_id
                    and claim.phase == "SENDING"
                    and claim.timestamp <= written_at
                ),
                default=written_at,
            )
            if written_at > claimed_at + age_ms_max:
                sentence = f"{notification_id} left {written_at - claimed_at} ms after its claim"
                yield Violation("P2", sentence, written_at, slot, (notification_id,))
            due_at, expires_at = self._world.times.get((slot, notification_id), (None, None))
            due_at = self._moved.get((slot, notification_id), due_at)
            if due_at is not None and push.at < due_at - skew_ms:
                sentence = f"{notification_id} was sent {due_at - push.at} ms before it was due"
                yield Violation("P3", sentence, push.at, slot, (notification_id,))
            if expires_at is not None and push.at > expires_at + grace_ms + skew_ms:
                yield self._late(slot, notification_id, push.at, "arrived", push.at - expires_at)

    def _against_wishes(self, slot: bytes) -> Iterator[Violation]:
        """What was cancelled is not sent, nor what the user does not want, nor when."""
        user, _, kind = slot.decode().rpartition(":")
        start, end = self._world.scenario.quiet_minutes.get(user, (0, 0))
        unwanted = kind in self._world.scenario.opted_out.get(user, [])
        for row in self._statuses[slot]:
            if row.state != "SENDING":
                continue
            minute = row.at // 60_000 % 1_440
            if (start <= minute < end) if start <= end else (minute >= start or minute < end):
                yield Violation("P3", f"{row.notification_id} in quiet hours", row.at, slot, (row.notification_id,))
            if unwanted:
                yield Violation("P3", f"{row.notification_id} against the will", row.at, slot, (row.notification_id,))
        for push, written_at in self._pushes[slot]:
            cancelled_at = self._cancelled.get((slot, push.notification_id))
            if cancelled_at is not None and written_at >= cancelled_at:
                sentence = f"{push.notification_id} was sent, and its cancel was answered with CANCELLED"
                yield Violation("P3", sentence, written_at, slot, (push.notification_id,))

    @staticmethod
    def _late(slot: bytes, notification_id: str, at: int, what: str, late_ms: int) -> Violation:
        return Violation("P1", f"{notification_id} {what} {late_ms} ms too late", at, slot, (notification_id,))

    def _told(self) -> Iterator[Violation]:
        """Of each broadcast every user has at most one copy, those who stayed exactly one, and the totals say so."""
        world, now = self._world, self._world.broker.now_ms()
        copies: dict[str, Counter[str]] = defaultdict(Counter)
        for _, record in world.broker.records(world.topics.notifications):
            if record.key is not None and record.value is not None and record.key.startswith((b"u", b"stranger")):
                try:
                    copy = world.codec.decode(record.value, ("Notification",)).record
                except PoisonError:
                    continue
                copies[copy["notification_id"]][copy["user_id"]] += 1
        directory = world.topics.changelog("directory")
        partitions = range(world.scenario.partitions)
        rows = [row for number in partitions for row in world.broker.rows(directory, number).items()]
        left = {key[1:].decode() for key, row in rows if key.startswith(DEVICES_PREFIX) and read_devices(row)}
        for telling in world.scenario.tellings:
            name, told = telling.broadcast_id, copies[telling.broadcast_id]
            totals = [total for total in world.totals() if total["broadcast_id"] == name]
            wanted = set(telling.users) or world.to_be_told[name] & left
            said = [(total["state"], total["emitted"]) for total in totals]
            if len(said) != 1 or said[0][1] != sum(told.values()) or said[0][0] not in ("DONE", "CANCELLED"):
                yield Violation("P3", f"{name} told {sum(told.values())} users, the totals say {said}", now, None, ())
            if any(count > 1 for count in told.values()):
                yield Violation("P1", f"{name} told somebody twice: {told}", now, None, ())
            if [state for state, _ in said] == ["DONE"] and not wanted <= set(told):
                yield Violation("P3", f"{name} did not tell {sorted(wanted - set(told))}", now, None, ())

    def _state(self) -> Iterator[Violation]:
        """P4: a day after the end nothing is remembered, neither in the changelogs nor on the disks of the owners."""
        world, now = self._world, self._world.broker.now_ms()
        partitions = range(world.scenario.partitions)
        slots = [world.broker.rows(world.topics.changelog("slots"), partition) for partition in partitions]
        yield from check_state(slots, now).violations
        report = StateReport()
        for partition in partitions:
            check_cap_rows(world.broker.rows(world.topics.changelog("deliveries"), partition), report)
        yield from report.violations
        for table in ("slots", "deliveries", "schedule", "broadcasts"):
            for partition in partitions:
                rows = world.broker.rows(world.topics.changelog(table), partition)
                if len(rows) > ROWS_LEFT_MAX:
                    sentence = f"{len(rows)} rows of {table}-{partition} are left when all is over: {sorted(rows)[:3]}"
                    yield Violation("P4", sentence, now, None, ())


def too_close(slot: bytes, pushes: list[PushRow], rules: Rules) -> Iterator[Violation]:
    """The naive oracle of P1: whatever window one looks at, it holds at most `limit` notifications."""
    for first in pushes:
        ids = {push.notification_id for push in pushes if first.at <= push.at < first.at + rules.window_ms}
        if len(ids) > rules.limit:
            sentence = f"the window from {first.at - START_MS} ms on holds {sorted(ids)}"
            yield Violation("P1", sentence, first.at, slot, tuple(sorted(ids)))
            return


def too_many(user: bytes, pushes: Mapping[bytes, list[tuple[PushRow, int]]], terms: CapTerms) -> Iterator[Violation]:
    """The naive oracle of the caps: of what heeds a cap and counts, no window holds more than `limit`."""
    counted = [
        (push.at, slot, push.notification_id)
        for slot, found in pushes.items()
        if slot.rpartition(b":")[0] == user and terms.rules_of(slot).counts and not terms.rules_of(slot).ignores
        for push, _ in found
    ]
    for cap in terms.caps:
        for first, slot, _ in counted:
            ids = {(of, name) for at, of, name in counted if first <= at < first + cap.window_ms}
            if len(ids) > cap.limit:
                sentence = f"the window of {cap} from {first - START_MS} ms on holds {sorted(ids)}"
                yield Violation("P1", sentence, first, slot, ())
                break


def sent_as_two(slot: bytes, statuses: list[StatusRow]) -> Iterator[Violation]:
    """The naive oracle of duplicates: an id is admitted once a day, whoever remembers it."""
    admitted: dict[str, int] = {}
    for row in statuses:
        if row.state == "DEFERRED":
            admitted.pop(row.notification_id, None)  # quiet hours hold it, and it is admitted anew when they end
        if row.state != "ADMITTED":
            continue
        before = admitted.get(row.notification_id)
        if before is not None and row.at - before < DAY_MS:
            sentence = f"{row.notification_id} was admitted a second time within a day"
            yield Violation("P3", sentence, row.at, slot, (row.notification_id,), row.origin)
        admitted[row.notification_id] = row.at
