"""All push services, and a receiver of webhooks, on the loopback, with one certificate authority and one push log."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any

from connectors.simulators.apns import ApnsSimulator
from connectors.simulators.fcm import FcmSimulator
from connectors.simulators.provider import Clock
from connectors.simulators.push_log import PushLog
from connectors.simulators.tls import LOOPBACK, make_authority
from connectors.simulators.webhook import WebhookSimulator
from connectors.simulators.webpush import WebPushSimulator


def wall_clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class ProviderSimulators:
    """An async context manager: inside it the services answer, and the credentials that they trust exist.

    `directory` receives certificates and credentials (made anew at each start). `log_file`: append the push log to
    it as JSON lines. `clock_ms` rules token lifetimes and the instants on record. `host`: the name by which other
    machines reach this one; without it the services are on the loopback only.
    """

    def __init__(
        self,
        directory: Path,
        clock_ms: Clock = wall_clock_ms,
        *,
        log_file: Path | None = None,
        host: str = LOOPBACK,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        authority = make_authority(directory, host)
        self.directory = directory
        self.ca_file = authority.ca_file
        self.log = PushLog(log_file)
        self.apns = ApnsSimulator(directory, authority, self.log, clock_ms)
        self.fcm = FcmSimulator(directory, authority, self.log, clock_ms)
        self.webpush = WebPushSimulator(directory, authority, self.log, clock_ms)
        self.webhook = WebhookSimulator(directory, authority, self.log, clock_ms)

    def description(self) -> dict[str, Any]:
        """Where everything is and which credentials are trusted, as plain values. Valid once started."""
        return {
            "ca_file": str(self.ca_file),
            "apns": {
                "url": self.apns.url,
                "key_file": str(self.apns.key_file),
                "key_id": self.apns.key_id,
                "team_id": self.apns.team_id,
                "topic": self.apns.topic,
            },
            "fcm": {
                "url": self.fcm.url,
                "token_url": self.fcm.token_url,
                "project_id": self.fcm.project_id,
                "service_account_file": str(self.fcm.service_account_file),
            },
            "webpush": {
                "url": self.webpush.url,
                "vapid_key_file": str(self.webpush.vapid_key_file),
                "vapid_subject": self.webpush.vapid_subject,
            },
            "webhook": {"url": self.webhook.url, "secret_file": str(self.webhook.secret_file)},
        }

    async def __aenter__(self) -> ProviderSimulators:
        """Listen on free ports."""
        await self.apns.listener.start()
        await self.fcm.listener.start()
        self.fcm.started()
        await self.webpush.listener.start()
        self.webpush.started()
        await self.webhook.listener.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cut every connection and finish the log."""
        for provider in (self.apns, self.fcm, self.webpush, self.webhook):
            await provider.listener.close()
        self.log.close()
