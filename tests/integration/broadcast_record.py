"""What Kafka has on record of a broadcast: who was told how often, and what was said about it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.codec import Codec
from schemas.records import Broadcast
from streams.publish.broadcasts import BroadcastCommands
from streams.publish.messages import Message
from streams.publish.publisher import Publisher
from streams.settings import Settings
from streams.topics import TopicNames
from tests.integration.kafka_records import LOOK_SECONDS, WAIT_SECONDS_MAX, ends, read_all, until_read

CODEC = Codec()
KIND = "order_ready"


def user_name(number: int) -> str:
    """A user, in no order that their numbers have."""
    return f"user-{number * 7919 % 10_000_019:08d}"


def devices_of(user: str) -> Message:
    """One device of a user, as it is registered."""
    device = {"device_id": "phone", "provider": "APNS", "address": f"{user:0<64.64}", "registered_at": 1}
    return Message(user.encode(), CODEC.encode("Devices", {"user_id": user, "devices": [device]}))


async def register(settings: Settings, users: Iterable[str]) -> None:
    """Register a device of each of these users."""
    async with Publisher(settings, TopicNames.of(settings).devices) as publisher:
        for user in users:
            await publisher.publish(devices_of(user))


async def until_registered(settings: Settings) -> None:
    """Wait until the workers have read all devices."""
    await until_read(settings.bootstrap or "", settings.app_id, [TopicNames.of(settings).devices])


async def start(settings: Settings, broadcast: Broadcast, users: Sequence[str] = ()) -> None:
    """Start it; `users`: its list."""

    async def at_once() -> AsyncIterator[Sequence[str]]:
        yield users

    async with BroadcastCommands(settings, CODEC) as commands:
        if users:
            await commands.list_users(broadcast["broadcast_id"], at_once())
        await commands.start(broadcast)


@dataclass(frozen=True, slots=True)
class BroadcastRecord:
    """Everything that is on record, committed. `totals`: one, once all partitions have ended."""

    told: Counter[str]
    totals: list[dict[str, Any]]


async def read_record(settings: Settings, broadcast_id: str) -> BroadcastRecord:
    """Read the topics of an installation."""
    names, bootstrap = TopicNames.of(settings), settings.bootstrap or ""
    told: Counter[str] = Counter()
    for record in await read_all(bootstrap, names.notifications):
        copy = CODEC.decode(record.value, ("Notification",)).record
        told[copy["user_id"]] += copy["notification_id"] == broadcast_id
    reports = [
        CODEC.decode(r.value, ("BroadcastReport",)).record for r in await read_all(bootstrap, names.broadcast_reports)
    ]
    totals = [each for each in reports if each["broadcast_id"] == broadcast_id and each["partition"] is None]
    return BroadcastRecord(+told, totals)


async def until_told(settings: Settings, count: int) -> None:
    """Wait until about so many are told: markers count, of which there are few."""
    topic = TopicNames.of(settings).notifications
    await _until(settings, [topic], lambda found: found >= count)


async def until_ended(settings: Settings, broadcast_id: str) -> BroadcastRecord:
    """Wait for the totals; return what is on record then."""
    topic = TopicNames.of(settings).broadcast_reports
    seen = 0
    async with asyncio.timeout(2 * WAIT_SECONDS_MAX):
        while True:
            seen = await _until(settings, [topic], lambda found: found > seen)  # noqa: B023 (it is asked at once)
            if (await read_record(settings, broadcast_id)).totals:
                # What is read first was not complete yet when what is read last told that it is.
                return await read_record(settings, broadcast_id)


async def _until(settings: Settings, topics: Sequence[str], is_so: Callable[[int], bool]) -> int:
    async with asyncio.timeout(2 * WAIT_SECONDS_MAX):
        while not is_so(found := sum((await ends(settings.bootstrap or "", topics)).values())):  # noqa: ASYNC110 (Kafka sends no signal)
            await asyncio.sleep(LOOK_SECONDS)
        return found
