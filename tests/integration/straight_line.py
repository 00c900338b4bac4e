"""The whole system in one loop: a worker with all stages, the three simulators, and what came out of it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from connectors.apns import ApnsConfig, ApnsConnector
from connectors.fcm import FcmConfig, FcmConnector
from connectors.outcome import Connector, ProviderName
from connectors.simulators import ProviderSimulators
from connectors.webhook import WebhookConfig, WebhookConnector
from connectors.webpush import WebPushConfig, WebPushConnector
from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from streams.app import AppParts, create_app
from streams.connect import open_user_service
from streams.lane.app import LaneApp
from streams.lane.clock import wall_ms
from streams.settings import Settings, load_settings
from streams.stages.schedule_table import DEFERRALS, RETRIES
from streams.templates.library import TemplateLibrary
from streams.topics import TopicNames, ensure_topics
from streams.types_file import NotificationTypes
from tests.integration.kafka_records import LOOK_SECONDS, WAIT_SECONDS_MAX, producing, read_all, until_read

PARTITIONS = 3
CODEC = Codec()
TYPES: Mapping[str, Any] = {
    "allow_unknown": False,
    "types": {
        "order": {"title": "Order {{ number }}", "body": "is ready"},
        "plain": {"title": "Something happened"},
        "instant": {"title": "Now", "window_seconds": 1, "ttl_seconds": 1},
    },
}


@dataclass(frozen=True)
class Place:
    """Where an event was written: what its statuses name as its origin."""

    partition: int
    offset: int


class StraightLine:
    """Producers, simulators and a running worker."""

    def __init__(
        self,
        settings: Settings,
        producer: AIOKafkaProducer,
        simulators: ProviderSimulators,
        app: LaneApp,
        connectors: dict[ProviderName, Connector],
    ) -> None:
        self.settings, self.producer, self.simulators, self.app = settings, producer, simulators, app
        self.connectors = connectors
        self.topics = TopicNames.of(settings)
        self.user_of: dict[str, str] = {}

    async def event(self, user: str, type: str, astray: bool = False, **fields: Any) -> Place:
        """Write an event, `astray`: to a partition that is not that of its key."""
        notification = {
            "notification_id": str(uuid.uuid4()),
            "user_id": user,
            "type": type,
            "created_at": wall_ms(),
            "data": {"number": "7"},
            **fields,
        }
        key = slot_key(user, type)
        partition = (partition_of(key, PARTITIONS) + astray) % PARTITIONS
        return await self.raw(key, CODEC.encode("Notification", notification), partition)

    async def raw(self, key: bytes | None, value: bytes | None, partition: int = 0, headers: Any = None) -> Place:
        """Write a record as it is to `notifications`."""
        sent = await self.producer.send_and_wait(self.topics.notifications, value, key, partition, headers=headers)
        return Place(partition, sent.offset)

    async def devices(self, user: str, *providers: ProviderName) -> None:
        """Register one device with each of these providers; `user_of` knows the addresses."""
        devices = [self._device(provider) for provider in providers]
        self.user_of.update({device["address"]: user for device in devices})
        value = CODEC.encode("Devices", {"user_id": user, "devices": devices})
        partition = partition_of(user.encode(), PARTITIONS)
        await self.producer.send_and_wait(self.topics.devices, value, user.encode(), partition)

    async def preferences(self, user: str, value: bytes | None = None, **wishes: Any) -> None:
        """Say what a user wants; `value`: a record as it is, without it and without wishes: nothing any more."""
        if wishes:
            value = CODEC.encode("Preferences", {"user_id": user, **wishes})
        partition = partition_of(user.encode(), PARTITIONS)
        await self.producer.send_and_wait(self.topics.preferences, value, user.encode(), partition)

    async def profile(self, user: str, value: bytes | None = None, **known: Any) -> None:
        """Say what is known of a user; `value`: a record as it is, without it and without fields: nothing any more."""
        if known:
            value = CODEC.encode("Profile", {"user_id": user, **known})
        partition = partition_of(user.encode(), PARTITIONS)
        await self.producer.send_and_wait(self.topics.profiles, value, user.encode(), partition)

    def _device(self, provider: ProviderName) -> dict[str, Any]:
        device: dict[str, Any] = {"device_id": provider.value, "provider": provider.name, "registered_at": 1}
        match provider:
            case ProviderName.APNS:
                return {**device, "address": self.simulators.apns.new_device()}
            case ProviderName.FCM:
                return {**device, "address": self.simulators.fcm.new_device()}
            case ProviderName.WEBPUSH:
                browser = self.simulators.webpush.new_subscription()
                return {**device, "address": browser.endpoint, "p256dh": browser.p256dh, "auth": browser.auth}
            case ProviderName.WEBHOOK:
                return {**device, "address": self.simulators.webhook.new_endpoint()}

    async def until_done(self) -> None:
        """See `until_done`; raises what the app has failed with."""
        await until_done(self.settings, self._check)

    def _check(self) -> None:
        if self.app.failure is not None:
            raise self.app.failure

    async def first_states(self, *places: Place) -> list[str]:
        """Wait until each of these events has a status, and return the first one of each."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                first: dict[Place, str] = {}
                for status in await self.read(self.topics.statuses, "Status"):
                    first.setdefault(Place(status["origin_partition"], status["origin_offset"]), status["state"])
                if set(places) <= set(first):
                    return [first[place] for place in places]
                self._check()
                await asyncio.sleep(LOOK_SECONDS)

    async def read(self, topic: str, name: str) -> list[dict[str, Any]]:
        """The committed records of a topic, decoded."""
        records = await read_all(self.settings.bootstrap or "", topic)
        return [CODEC.decode(record.value, (name,)).record for record in records]


async def until_done(settings: Settings, check: Callable[[], None]) -> None:
    """Wait until every topic that a stage reads is read to its end, and nothing is held back for later.

    `check` may raise, so that a worker that has failed ends the wait.
    """
    topics, bootstrap = TopicNames.of(settings), settings.bootstrap or ""
    upstream = [topics.notifications, topics.due, topics.verdicts, topics.scheduled, topics.outbox]
    upstream += [topics.devices, topics.device_changes, topics.preferences, topics.profiles, topics.templates]
    async with asyncio.timeout(4 * WAIT_SECONDS_MAX):
        while True:
            await until_read(bootstrap, settings.app_id, upstream, check)
            rows: dict[tuple[int, bytes], bytes | None] = {}
            for record in await read_all(bootstrap, topics.changelog("schedule")):
                rows[record.partition, record.key] = record.value
            if not any(value is not None and key[:1] in (DEFERRALS, RETRIES) for (_, key), value in rows.items()):
                return


def connectors_of(simulators: ProviderSimulators) -> dict[ProviderName, Connector]:
    """Real connectors that speak to the simulators."""
    apns, fcm, webpush, ca_file = simulators.apns, simulators.fcm, simulators.webpush, str(simulators.ca_file)
    return {
        ProviderName.APNS: ApnsConnector(
            ApnsConfig(apns.url, str(apns.key_file), apns.key_id, apns.team_id, apns.topic, ca_file=ca_file)
        ),
        ProviderName.FCM: FcmConnector(FcmConfig(fcm.url, str(fcm.service_account_file), ca_file=ca_file)),
        ProviderName.WEBPUSH: WebPushConnector(
            WebPushConfig(
                str(webpush.vapid_key_file), webpush.vapid_subject, ca_file=ca_file, allow_private_endpoints=True
            )
        ),
        ProviderName.WEBHOOK: WebhookConnector(
            WebhookConfig(str(simulators.webhook.secret_file), ca_file=ca_file, allow_private_endpoints=True)
        ),
    }


def settings_of(bootstrap: str, prefix: str, directory: Path, **others: Any) -> Settings:
    """An installation of its own."""
    return load_settings(
        bootstrap=bootstrap,
        app_id=f"{prefix}app",
        topic_prefix=prefix,
        partitions=PARTITIONS,
        data_dir=directory,
        session_timeout_seconds=6.0,
        heartbeat_seconds=1.5,
        **others,
    )


@asynccontextmanager
async def straight_line(
    bootstrap: str,
    prefix: str,
    directory: Path,
    types: Mapping[str, Any] = TYPES,
    clock: Callable[[], int] = wall_ms,
    templates: TemplateLibrary | None = None,
    connect: Callable[[ProviderSimulators], dict[ProviderName, Connector]] = connectors_of,
    **others: Any,
) -> AsyncIterator[StraightLine]:
    """A running system with topics of its own. `clock`: that of the worker; `others` are settings."""
    settings = settings_of(bootstrap, prefix, directory / "data", **others)
    report = await ensure_topics(settings)
    assert not report.differences
    async with ProviderSimulators(directory / "simulators") as simulators, producing(bootstrap) as producer:
        connectors = connect(simulators)
        found = NotificationTypes.parse(types, "test")
        user_service = open_user_service(settings)
        parts = AppParts(
            settings,
            found,
            connectors,
            templates=templates,
            profiles=user_service,
            wall_ms=clock,
            faust={"web_enabled": False},
        )
        app = create_app(parts)
        app.finalize()
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                for connector in connectors.values():
                    await connector.start()
                await app.start()
                await app.lanes.opened.wait()
            yield StraightLine(settings, producer, simulators, app, connectors)
        finally:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await app.stop()
                for connector in connectors.values():
                    await connector.close()
                if user_service is not None:
                    await user_service.close()
