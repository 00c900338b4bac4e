"""A connector and the simulator that it speaks to: what the conformance suite runs its scenarios in.

The simulator's log is the record: an outcome is judged by what the log says arrived.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from connectors.apns import ApnsConfig, ApnsConnector
from connectors.beginner import Beginner
from connectors.fcm import FcmConfig, FcmConnector
from connectors.outcome import Accepted, Device, NotSent, Outcome, ProviderName, Push, Unknown
from connectors.simulators import Faults, ProviderSimulators
from connectors.webhook import WebhookConfig, WebhookConnector
from connectors.webpush import WebPushConfig, WebPushConnector

# How long a connector waits where no answer comes: on a standing connection, and with opening one.
HANG_SECONDS = 0.3
HANG_SECONDS_COLD = 2.0
LIMIT_SECONDS = 60.0
# Parameters of the fixture `in_world`, beside the names alone. Apple speaks HTTP/2 only.
OVER_HTTP1 = [f"{name} over HTTP/1.1" for name in ProviderName if name is not ProviderName.APNS]
AT_ONCE = [f"{name} at once" for name in (ProviderName.APNS, ProviderName.FCM)]


AnyConnector = ApnsConnector | FcmConnector | WebPushConnector | WebhookConnector


class Clock:
    """The time of connector and simulator; `skip` lets tokens run out."""

    def __init__(self) -> None:
        self.skipped_seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self.skipped_seconds

    def skip(self, seconds: float) -> None:
        self.skipped_seconds += seconds

    def milliseconds(self) -> int:
        return int(self() * 1000)


@dataclass
class World:
    """One connector and its simulator. `at_once`: pushes are begun, as deliver does where a connector can."""

    name: ProviderName
    simulators: ProviderSimulators
    clock: Clock
    connector: AnyConnector
    at_once: bool = False

    def set_timeout(self, seconds: float) -> None:
        """From now on a send takes at most this long; what went before was not to fail on a busy machine."""
        connector: Any = self.connector  # each has its own type of configuration, all with this field
        connector._config = replace(connector._config, request_timeout_seconds=seconds)

    @property
    def faults(self) -> Faults:
        faults: Faults = getattr(self.simulators, self.name).faults
        return faults

    def push(self, **changes: object) -> Push:
        push = Push(
            push_id=str(uuid.uuid4()),
            notification_id=f"n-{uuid.uuid4()}",
            type="like",
            device=new_device(self.simulators, self.name),
            title="Title",
            body="Bödy ☃",
            data={"k": "v"},
            ttl_seconds=3_600,
            collapse_id=uuid.uuid4().hex,
        )
        return replace(push, **changes)  # type: ignore[arg-type]  # fields by name

    async def send(self, push: Push | None = None, may_start: Callable[[], bool] = lambda: True) -> Outcome:
        push = push or self.push()
        if not self.at_once:
            return await self.connector.send(push, may_start)
        assert isinstance(self.connector, Beginner)
        ended: asyncio.Queue[Outcome] = asyncio.Queue()
        begun = self.connector.begin(push, may_start, ended.put_nowait)
        if begun is None:
            return await self.connector.send(push, may_start)
        if isinstance(begun, Accepted | NotSent | Unknown):
            return begun
        assert ended.empty(), "told before it returned"
        try:
            outcome = await ended.get()
        except asyncio.CancelledError:
            begun.cancel()
            raise
        assert ended.empty(), "told twice"
        return outcome

    async def send_until_final(self, push: Push) -> Outcome:
        """As the deliver stage does: what is certainly not sent and may be retried is sent again."""
        for _ in range(100):
            outcome = await self.send(push)
            if not (isinstance(outcome, NotSent) and outcome.retry):
                return outcome
            self.clock.skip(outcome.retry_after_seconds or 0.0)
        raise AssertionError("no end after 100 attempts")

    def shown(self) -> Counter[str]:
        """How often each push is on record."""
        return Counter(entry.push_id for entry in self.simulators.log.entries)


def new_device(simulators: ProviderSimulators, name: ProviderName) -> Device:
    match name:
        case ProviderName.APNS:
            return Device("d", name, simulators.apns.new_device())
        case ProviderName.FCM:
            return Device("d", name, simulators.fcm.new_device())
        case ProviderName.WEBPUSH:
            subscription = simulators.webpush.new_subscription()
            return Device("d", name, subscription.endpoint, subscription.p256dh, subscription.auth)
        case ProviderName.WEBHOOK:
            return Device("d", name, simulators.webhook.new_endpoint())


def new_connector(simulators: ProviderSimulators, name: ProviderName, clock: Clock) -> AnyConnector:
    ca_file = str(simulators.ca_file)
    match name:
        case ProviderName.APNS:
            apns = simulators.apns
            return ApnsConnector(
                ApnsConfig(
                    apns.url,
                    str(apns.key_file),
                    apns.key_id,
                    apns.team_id,
                    apns.topic,
                    ca_file=ca_file,
                    request_timeout_seconds=20.0,
                ),
                clock,
            )
        case ProviderName.FCM:
            fcm = simulators.fcm
            return FcmConnector(
                FcmConfig(fcm.url, str(fcm.service_account_file), ca_file=ca_file, request_timeout_seconds=20.0),
                clock,
            )
        case ProviderName.WEBPUSH:
            webpush = simulators.webpush
            return WebPushConnector(
                WebPushConfig(
                    str(webpush.vapid_key_file),
                    webpush.vapid_subject,
                    ca_file=ca_file,
                    request_timeout_seconds=20.0,
                    allow_private_endpoints=True,
                ),
                clock,
            )
        case ProviderName.WEBHOOK:
            secret_file = str(simulators.webhook.secret_file)
            return WebhookConnector(
                WebhookConfig(secret_file, ca_file=ca_file, request_timeout_seconds=20.0, allow_private_endpoints=True),
                clock,
            )


Scenario = Callable[[World], Awaitable[None]]
InWorld = Callable[[Scenario], None]
