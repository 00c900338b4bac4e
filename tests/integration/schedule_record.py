"""What Kafka has on record of a schedule: what was released, cancelled and answered, and when, by Kafka's clock."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from schemas.notification import write_deferral
from streams.policies.scheduling import Counts
from streams.publish.messages import Message
from streams.settings import Settings
from streams.stages.schedule_ledger import read_ledger_row
from streams.stages.schedule_table import DEFERRALS, LEDGER_KEY, read_pending
from streams.topics import TopicNames
from tests.integration.kafka_records import LOOK_SECONDS, WAIT_SECONDS_MAX, producing, read_all

CODEC = Codec()
KIND = "order_ready"


def deferral(number: int, due_at: int, now: int, expires_at: int | None = None) -> Message:
    """The deferral of `n-<number>` of a user of its own, as suppress writes it; its origin is (0, number)."""
    user = f"user-{number:07d}"
    notification = {
        "notification_id": f"n-{number}",
        "user_id": user,
        "type": KIND,
        "created_at": now,
        "send_at": due_at,
        "expires_at": expires_at,
        "data": {"order": f"A-{number:08d}"},
    }
    body = CODEC.encode("Notification", notification)[10:]
    return Message(slot_key(user, KIND), write_deferral(due_at, 0, number, body))


def command(number: int, now: int, due_at: int | None = None) -> Message:
    """A cancel of `n-<number>`, or a move to another time; its request is `r-<number>`."""
    user = f"user-{number:07d}"
    record: dict[str, Any] = {
        "notification_id": f"n-{number}",
        "user_id": user,
        "type": KIND,
        "request_id": f"r-{number}",
        "requested_by": "test",
        "requested_at": now,
    }
    if due_at is None:
        return Message(slot_key(user, KIND), CODEC.encode("Cancel", record))
    return Message(slot_key(user, KIND), CODEC.encode("Move", {**record, "due_at": due_at}))


async def produce(settings: Settings, messages: Iterable[Message]) -> None:
    """Put them on `scheduled`, each in the partition of its key."""
    topic = TopicNames.of(settings).scheduled
    async with producing(settings.bootstrap or "", linger_ms=5) as producer:
        sent = [
            await producer.send(topic, message.value, message.key, partition_of(message.key, settings.partitions))
            for message in messages
        ]
        await asyncio.gather(*sent)


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """Everything that is on record, committed."""

    released: Counter[str]
    due_at: dict[str, int]
    early_ms: list[int]
    states: dict[str, list[str]]
    outcomes: dict[str, str]
    counts: Counts

    @property
    def ended(self) -> int:
        """How many notifications have ended."""
        return sum(state in ("RELEASED", "CANCELLED", "EXPIRED") for found in self.states.values() for state in found)


async def read_record(settings: Settings) -> ScheduleRecord:
    """Read the topics of an installation."""
    names, bootstrap = TopicNames.of(settings), settings.bootstrap or ""
    due = [CODEC.decode(record.value, ("Due",)).record for record in await read_all(bootstrap, names.due)]
    states: dict[str, list[str]] = {}
    for record in await read_all(bootstrap, names.statuses):
        status = CODEC.decode(record.value, ("Status",)).record
        states.setdefault(status["notification_id"], []).append(status["state"])
    answers = [CODEC.decode(r.value, ("ScheduleAnswer",)).record for r in await read_all(bootstrap, names.answers)]
    removed_at: dict[str, int] = {}
    ledgers: dict[int, bytes] = {}
    released = Counter(each["notification"]["notification_id"] for each in due)
    due_at = {each["notification"]["notification_id"]: each["due_at"] for each in due}
    for record in await read_all(bootstrap, names.changelog("schedule")):
        if record.key == LEDGER_KEY:
            ledgers[record.partition] = record.value
        elif record.value is None and record.key.startswith(DEFERRALS):
            # The changelog has the broker's time: when it took the removal of the row; of a moved one, of the last row.
            removed_at[read_pending(record.key).notification_id.decode()] = record.timestamp
    counts = [read_ledger_row(row).counts for row in ledgers.values()]
    return ScheduleRecord(
        released=released,
        due_at=due_at,
        early_ms=[at - removed_at[name] for name, at in due_at.items() if removed_at[name] < at],
        states=states,
        outcomes={answer["request_id"]: answer["outcome"] for answer in answers},
        counts=Counts(*(sum(values) for values in zip(*counts, strict=True))) if counts else Counts(),
    )


async def until_ended(settings: Settings, count: int) -> ScheduleRecord:
    """Read until so many have ended. Raises TimeoutError."""
    async with asyncio.timeout(2 * WAIT_SECONDS_MAX):
        while (await read_record(settings)).ended < count:  # noqa: ASYNC110 (Kafka sends no signal)
            await asyncio.sleep(LOOK_SECONDS)
    # The topics were read one after the other: what is on one now was not yet on the one before it.
    return await read_record(settings)
