"""All three stages on one partition: deliver as it runs, suppress and schedule step by step, over one log in memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.outcome import NotSent, Push
from schemas.keys import slot_key
from streams.audit.auditor import split_state_key, status_row
from streams.audit.cap_checks import CapHistory, CapTerms, check_caps
from streams.audit.event_ledger import EventLedger
from streams.audit.rows import ClaimRow, PushRow, Rules, SlotHistory, StatusRow
from streams.audit.slot_checks import check_slot
from streams.policies.capping import CapRules
from streams.policies.suppression import SlotPolicy
from streams.stages.delivery_rows import STATE_PREFIX
from streams.stages.schedule import ScheduleDecider
from streams.stages.schedule_table import ScheduleTable
from streams.stages.slots_table import SlotsTable
from streams.stages.suppress import SuppressDecider
from tests.simulation.deliver_world import CODEC, GRACE_MS, SEND_WITHIN_MS, SKEW_MS, TOPICS, DeliverWorld
from tests.simulation.stage_partition import Crash, StagePartition
from tests.simulation.tables import local_rows, new_table, unstarted_app

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
POLICY = SlotPolicy(window_ms=HOUR_MS, limit=1, send_within_ms=SEND_WITHIN_MS, grace_ms=GRACE_MS, skew_ms=SKEW_MS)
RULES = Rules(POLICY.window_ms, 1, False, GRACE_MS + POLICY.window_ms + POLICY.skew_ms, POLICY.skew_ms)
ROUNDS_MAX = 500


class QuietWorld(DeliverWorld):
    """`at` sets the clock, which all stages share; `settle` lets them work until there is nothing to do."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        app = unstarted_app(directory / "others", 1)
        slots, schedule = new_table(app, SlotsTable, "slots"), new_table(app, ScheduleTable, "schedule")
        self._slots, self._schedule = slots, schedule
        self.pushes: list[tuple[int, Push]] = []
        self.crash_of: Callable[[], Crash] = lambda: "none"
        self.stages = [
            StagePartition(
                self.log,
                (TOPICS.notifications, TOPICS.due, TOPICS.verdicts),
                0,
                slots,
                lambda: SuppressDecider(0, 1, slots, TOPICS, lambda slot: POLICY, CODEC),
                lambda: self.now,
            ),
            StagePartition(
                self.log,
                (TOPICS.scheduled,),
                0,
                schedule,
                lambda: ScheduleDecider(0, 1, schedule, TOPICS, CODEC),
                lambda: self.now,
            ),
        ]
        self.connector.before = self._arrived

    def _arrived(self, push: Push) -> None:
        answers = self.connector.answers
        if not answers or not isinstance(answers[0], NotSent):
            self.pushes.append((self.now, push))

    def slots(self) -> dict[bytes, bytes]:
        """What suppress holds."""
        return local_rows(self._slots, 0)

    def schedule_rows(self) -> dict[bytes, bytes]:
        """What schedule holds."""
        return local_rows(self._schedule, 0)

    def at(self, text: str) -> None:
        """Set the clock, UTC."""
        self.now = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000

    def event(self, notification_id: str, user: str = "u", type: str = "t", **fields: Any) -> int:
        """An event arrives; return its offset."""
        notification = {"notification_id": notification_id, "user_id": user, "type": type, "created_at": self.now}
        value = CODEC.encode("Notification", {**notification, **fields})
        return self.log.append(TOPICS.notifications, 0, slot_key(user, type), value, [])

    async def settle(self) -> None:
        """Let all stages work until nothing is to be done before the clock moves on."""
        for _ in range(ROUNDS_MAX):
            busy = False
            for stage in self.stages:
                while stage.has_work():
                    stage.step(self.crash_of())
                    busy = True
            directory = (TOPICS.devices, TOPICS.device_changes, TOPICS.preferences, TOPICS.profiles)
            for topic in (TOPICS.outbox, TOPICS.outbox_bulk, *directory):
                if self.lane.positions()[topic] < self.log.end(topic, 0):
                    self._offer(topic, self.lane.positions()[topic])
                    busy = True
                await self.until_committed(topic)
            if not busy:
                return
        raise AssertionError("never comes to rest")

    async def until_committed(self, topic: str = TOPICS.outbox) -> None:
        """Wait until everything on the topic is done and committed, if there is anything."""
        await self.until(lambda: self.log.committed.get((topic, 0), 0) == self.log.end(topic, 0))

    async def pass_time(self, ms: int, step_ms: int = 10 * MINUTE_MS) -> None:
        """Let time go by, and the stages do what is due."""
        end = self.now + ms
        while self.now < end:
            self.now = min(end, self.now + step_ms)
            await self.settle()

    def status(self, notification_id: str) -> dict[str, Any]:
        """The last status of a notification."""
        return [each for each in self.read(TOPICS.statuses) if each["notification_id"] == notification_id][-1]

    def violations(self) -> list[str]:
        """What the auditor finds in the record: broken promises, and events without exactly one end."""
        ledger = EventLedger(0)
        for record in self.log.records(TOPICS.notifications):
            ledger.event(0, record.offset)
        slots: dict[bytes, list[StatusRow]] = {}
        for record in self.log.records(TOPICS.statuses):
            row = status_row(CODEC.decode(record.value, ("Status",)).record, record, f"statuses@{record.offset}")
            row = row._replace(timestamp=row.at)
            assert record.key is not None
            slots.setdefault(record.key, []).append(row)
            ledger.status(record.key, row)
        ledger.close(self.now, {0: self.log.end(TOPICS.notifications, 0)}, True)
        found = [violation.sentence for violation in ledger.violations]
        claims = self._claims()
        for with_log in (True, False):
            found += self._over_the_cap(slots, claims, with_log)
        for slot, rows in slots.items():
            policy = self.policy(slot.rpartition(b":")[2].decode())
            rules = RULES._replace(resend_unknown=policy is not None and policy.resend_unknown)
            for log in (self._pushes_to(slot), None):
                history = SlotHistory(slot, rows, claims.get(slot, []), log)
                found += [violation.sentence for violation in check_slot(history, rules, 0, HOUR_MS)]
        return found

    def _pushes_to(self, slot: bytes) -> list[PushRow]:
        return [
            PushRow(push.notification_id, at, "apns", push.device.address, push.push_id, f"push@{number}")
            for number, (at, push) in enumerate(self.pushes)
            if slot_key(push.device.address.rpartition(" ")[2], push.type) == slot
        ]

    def _over_the_cap(
        self, slots: dict[bytes, list[StatusRow]], claims: dict[bytes, list[ClaimRow]], with_log: bool
    ) -> list[str]:
        def rules_of(slot: bytes) -> CapRules:
            policy = self.policy(slot.rpartition(b":")[2].decode())
            assert policy is not None, "no type is removed here"
            return policy.cap

        terms = CapTerms(self.caps, GRACE_MS, SKEW_MS, rules_of)
        users: dict[bytes, CapHistory] = {}
        for slot, rows in slots.items():
            history = SlotHistory(slot, rows, claims.get(slot, []), self._pushes_to(slot) if with_log else None)
            users.setdefault(slot.rpartition(b":")[0], CapHistory()).add(history, SKEW_MS)
        return [found.sentence for each in users.values() for found in check_caps(each, terms, 0)]

    def _claims(self) -> dict[bytes, list[ClaimRow]]:
        claims: dict[bytes, list[ClaimRow]] = {}
        for record in self.log.records(self.tables["deliveries"].changelog):
            if record.key is None or record.value is None or not record.key.startswith(STATE_PREFIX):
                continue
            slot, notification_id = split_state_key(record.key)
            for claim in CODEC.decode(record.value, ("DeliveryState",)).record["claims"]:
                row = ClaimRow(
                    notification_id,
                    claim["device_id"],
                    claim["attempt"],
                    claim["phase"],
                    claim["at"],
                    claim["at"],
                    f"deliveries@{record.offset}",
                )
                claims.setdefault(slot, []).append(row)
        return claims
