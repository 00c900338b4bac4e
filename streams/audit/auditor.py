"""The audit: reads the topics in an order in which what is read later explains what was read before, and checks.

1. how far suppress has committed, the events, the push log    effects before causes, so that a system at work
2. the claims, the slots                                       shows nothing whose explanation was not written yet
3. the statuses, partition by partition, which is slot by slot
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.codec import Codec
from streams.audit.cap_checks import UNCAPPED, CapHistory, CapTerms, check_caps
from streams.audit.event_ledger import EventLedger
from streams.audit.reading import TopicReader, decoder, read_push_log
from streams.audit.report import Report
from streams.audit.rows import ClaimRow, PushRow, Rules, SlotHistory, StatusRow, Violation
from streams.audit.slot_checks import check_slot
from streams.audit.state_checks import check_cap_rows, check_state
from streams.policies.capping import Cap, CapRules
from streams.policies.identity import push_id
from streams.settings import Settings, kafka_client_options
from streams.stages.blocks import BLOCK_PREFIX
from streams.stages.cap_rows import CAP_PREFIX
from streams.stages.delivery_rows import STATE_PREFIX
from streams.stages.origin import ORIGIN_HEADER
from streams.topics import TopicNames
from streams.types_file import NotificationTypes


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What to audit. Instants in milliseconds since the epoch. `settle_seconds`: what is younger is under way."""

    since: int | None = None
    until: int | None = None
    push_log: Path | None = None
    settle_seconds: float = 60.0
    complete: bool = False


Claims = dict[bytes, dict[tuple[str, str, int, str], ClaimRow]]


class Auditor:
    """One audit of one installation."""

    def __init__(self, settings: Settings, types: NotificationTypes, options: AuditOptions, codec: Codec) -> None:
        self._settings = settings
        self._options = options
        self._codec = codec
        self._names = TopicNames.of(settings)
        self._rules_of = rules_of_slots(settings, types)
        self._report = Report()
        # By notification id: a push names no user, whose slot is found by the push id.
        self._pushes: dict[str, list[PushRow]] = defaultdict(list)
        self._claims: Claims = defaultdict(dict)
        self._terms = cap_terms(settings, types)
        self._capped: dict[bytes, CapHistory] = defaultdict(CapHistory)

    async def run(self) -> Report:
        """Read and check. Raises what aiokafka raises, RecordUnreadableError, and OSError for the push log."""
        started_at = time.monotonic()
        settle_ms = int(self._options.settle_seconds * 1000)
        ledger = EventLedger(settle_ms)
        async with TopicReader(kafka_client_options(self._settings)) as reader:
            read_up_to = await reader.committed_offsets(self._settings.app_id, self._names.topic("notifications"))
            await self._read_events(reader, ledger)
            self._read_pushes()
            await self._read_claims(reader)
            await self._read_slots(reader)
            statuses_end = await reader.ends(self._names.topic("statuses"), self._settings.partitions)
            await self._read_statuses(reader, ledger, statuses_end, settle_ms)
            await self._count_dead_letters(reader)
        report = self._report
        ledger.close(time.time_ns() // 1_000_000, read_up_to, self._options.complete)
        report.events, report.final, report.under_way = ledger.events, ledger.final, ledger.under_way
        report.violations += ledger.violations
        report.violations += report.state.violations
        report.seconds = time.monotonic() - started_at
        return report

    async def _read_events(self, reader: TopicReader, ledger: EventLedger) -> None:
        topic, options = self._names.topic("notifications"), self._options
        starts = await reader.starts(topic, self._settings.partitions, options.since)
        for partition, end in (await reader.ends(topic, self._settings.partitions)).items():
            async for records in reader.read(topic, partition, starts[partition], end):
                for record in records:
                    if options.until is not None and record.timestamp >= options.until:
                        continue
                    if record.headers and any(name == ORIGIN_HEADER for name, _ in record.headers):
                        continue  # a copy on its way to the right partition: the event is where it came from
                    ledger.event(partition, record.offset)

    def _read_pushes(self) -> None:
        log = self._options.push_log
        if log is None:
            return
        self._report.pushes = 0
        for push in read_push_log(log):
            if self._options.since is not None and push.at < self._options.since:
                continue
            self._pushes[push.notification_id].append(push)
            self._report.pushes += 1

    async def _read_claims(self, reader: TopicReader) -> None:
        topic = self._names.changelog("deliveries")
        decode = decoder(self._codec, "DeliveryState")
        starts = await reader.starts(topic, self._settings.partitions, None)
        for partition, end in (await reader.ends(topic, self._settings.partitions)).items():
            of_caps: dict[bytes, bytes] = {}
            async for records in reader.read(topic, partition, starts[partition], end):
                for record in records:
                    if self._terms.caps and record.key.startswith((CAP_PREFIX, BLOCK_PREFIX)):
                        if record.value is None:
                            of_caps.pop(record.key, None)
                        else:
                            of_caps[record.key] = record.value
                    if record.value is None or not record.key.startswith(STATE_PREFIX):
                        continue
                    self._claims_of(decode(record.value), record, f"{topic}-{partition}@{record.offset}")
            check_cap_rows(of_caps, self._report.state)

    def _claims_of(self, state: dict[str, Any], record: Any, place: str) -> None:
        slot, notification_id = split_state_key(record.key)
        rows = self._claims[slot]
        for claim in state["claims"]:
            key = (notification_id, claim["device_id"], claim["attempt"], claim["phase"])
            if key not in rows:
                rows[key] = ClaimRow(
                    notification_id,
                    claim["device_id"],
                    claim["attempt"],
                    claim["phase"],
                    claim["at"],
                    record.timestamp,
                    place,
                )
                self._report.claims += 1

    async def _read_slots(self, reader: TopicReader) -> None:
        topic = self._names.changelog("slots")
        starts = await reader.starts(topic, self._settings.partitions, None)
        for partition, end in (await reader.ends(topic, self._settings.partitions)).items():
            rows: dict[bytes, bytes] = {}
            async for records in reader.read(topic, partition, starts[partition], end):
                for record in records:
                    if record.value is None:
                        rows.pop(record.key, None)
                    else:
                        rows[record.key] = record.value
            found, state = check_state([rows], time.time_ns() // 1_000_000), self._report.state
            state.active += found.active
            state.unswept += found.unswept
            state.blocks += found.blocks
            state.blocks_unswept += found.blocks_unswept
            state.ids += found.ids
            state.violations += found.violations

    async def _read_statuses(
        self, reader: TopicReader, ledger: EventLedger, ends: dict[int, int], settle_ms: int
    ) -> None:
        topic, since = self._names.topic("statuses"), self._options.since
        decode = decoder(self._codec, "Status")
        starts = await reader.starts(topic, self._settings.partitions, since)
        known_from = 0
        for partition, end in ends.items():
            slots: dict[bytes, list[StatusRow]] = defaultdict(list)
            async for records in reader.read(topic, partition, starts[partition], end):
                if starts[partition] and not slots:
                    # What was before is deleted, or not asked for.
                    known_from = max(known_from, records[0].timestamp)
                for record in records:
                    row = status_row(decode(record.value), record, f"{topic}-{partition}@{record.offset}")
                    self._report.states[row.state] += 1
                    if row.state == "ATTEMPTED" and row.reason.startswith("UNKNOWN"):
                        self._report.unknown_reasons[row.reason.partition(": ")[2]] += 1
                    ledger.status(record.key, row)
                    slots[record.key].append(row)
            for slot, rows in slots.items():
                self._check(slot, rows, since or 0, settle_ms)
            self._report.slots += len(slots)
        for capped in self._capped.values():
            self._report.violations += check_caps(capped, self._terms, max(since or 0, known_from))
            self._report.turned_away += len(capped.turned_away)
        for pushes in self._pushes.values():
            for push in pushes:
                sentence = f"{push.notification_id} reached {push.provider} ({push.place}), and nothing is known of it"
                self._report.violations.append(Violation("P2", sentence, push.at, None, (push.notification_id,)))

    def _check(self, slot: bytes, rows: list[StatusRow], since: int, settle_ms: int) -> None:
        rules = self._rules_of(slot)
        if rules is None:
            return
        claims = list(self._claims.get(slot, {}).values())
        pushes = None if self._options.push_log is None else self._take_pushes(slot, rows, claims)
        history = SlotHistory(slot, rows, claims, pushes)
        self._report.violations += check_slot(history, rules, since, settle_ms)
        if self._terms.caps:
            self._capped[slot.rpartition(b":")[0]].add(history, self._terms.skew_ms)

    def _take_pushes(self, slot: bytes, rows: list[StatusRow], claims: list[ClaimRow]) -> list[PushRow]:
        """Take the pushes of a slot: those under an id of one of its notifications and devices."""
        devices = {(claim.notification_id, claim.device_id) for claim in claims}
        devices |= {(row.notification_id, row.device_id) for row in rows if row.device_id is not None}
        taken: list[PushRow] = []
        for notification_id in {notification_id for notification_id, _ in devices}:
            pushes = self._pushes.get(notification_id)
            if pushes is None:
                continue
            ids = {push_id(slot, notification_id, device) for known, device in devices if known == notification_id}
            taken += [push for push in pushes if push.push_id in ids]
            rest = [push for push in pushes if push.push_id not in ids]
            if rest:
                self._pushes[notification_id] = rest
            else:
                del self._pushes[notification_id]
        self._report.pushed_slots += bool(taken)
        return sorted(taken, key=lambda push: push.at)

    async def _count_dead_letters(self, reader: TopicReader) -> None:
        topic = self._names.topic("dead-letters")
        starts = await reader.starts(topic, self._settings.partitions, self._options.since)
        for partition, end in (await reader.ends(topic, self._settings.partitions)).items():
            async for records in reader.read(topic, partition, starts[partition], end):
                self._report.dead_letters += len(records)


def split_state_key(key: bytes) -> tuple[bytes, str]:
    """Return (slot, notification id) of a row's key in `deliveries`."""
    start = len(STATE_PREFIX) + 2
    end = start + int.from_bytes(key[len(STATE_PREFIX) : start], "big")
    return key[start:end], key[end:].decode()


def status_row(status: dict[str, Any], record: Any, place: str) -> StatusRow:
    """Return a status as the checks want it."""
    return StatusRow(
        status["notification_id"],
        status["state"],
        status["reason"],
        status["at"],
        record.timestamp,
        (status["origin_partition"], status["origin_offset"]),
        status["attempt"],
        status["device_id"],
        status["by_notification_id"],
        status["until"],
        place,
        status["stage"],
    )


def cap_terms(settings: Settings, types: NotificationTypes) -> CapTerms:
    """Return what the caps of the types file ask for."""
    known: dict[bytes, CapRules] = {}

    def rules_of(slot: bytes) -> CapRules:
        name = slot.rpartition(b":")[2]
        if name not in known:
            policy = types.policy(name.decode(errors="replace"))
            known[name] = UNCAPPED if policy is None else CapRules(policy.counts_for_cap, policy.ignores_cap)
        return known[name]

    caps = tuple(Cap(cap.limit, cap.window_seconds * 1000) for cap in types.caps)
    grace_ms, skew_ms = int(settings.grace_seconds * 1000), int(settings.clock_skew_seconds_max * 1000)
    return CapTerms(caps, grace_ms, skew_ms, rules_of)


def rules_of_slots(settings: Settings, types: NotificationTypes) -> Callable[[bytes], Rules | None]:
    """Return what gives the rules of a slot, None for a type that there is not."""
    known: dict[str, Rules | None] = {}
    grace_ms, skew_ms = int(settings.grace_seconds * 1000), int(settings.clock_skew_seconds_max * 1000)

    def rules_of(slot: bytes) -> Rules | None:
        name = slot.rpartition(b":")[2].decode(errors="replace")
        if name not in known:
            policy = types.policy(name)
            known[name] = None
            if policy is not None:
                window_ms = policy.window_seconds * 1000
                resend = policy.on_unknown == "resend"
                known[name] = Rules(window_ms, policy.limit, resend, grace_ms + window_ms + skew_ms, skew_ms)
        return known[name]

    return rules_of
