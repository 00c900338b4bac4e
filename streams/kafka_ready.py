"""Waiting for a Kafka that is not there yet, aloud and not for ever; and not at all where a setting keeps us out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from streams.kafka_refusal import closes_at_once, refusal
from streams.setting_error import ENV_PREFIX, SettingsError
from streams.settings import Settings, kafka_client_options

SAY_EVERY_SECONDS = 3.0
TRY_EVERY_SECONDS = 0.3
ANSWER_MS_MAX = 3000

Address = tuple[str, int]


class KafkaUnreachableError(Exception):
    """Kafka did not answer within the time that the caller was ready to wait."""


async def wait_for_kafka(settings: Settings, wait_seconds: float, say: Callable[[str], None]) -> None:
    """Return once Kafka answers, and a broker can be reached where Kafka sends its clients.

    Raises KafkaUnreachableError after `wait_seconds`, having said so every 3 s. Raises SettingsError at once where
    Kafka refuses us, or we it: no waiting mends a wrong password.
    """
    attempt = _Attempt(settings)
    started_at = time.monotonic()
    say_at = started_at
    while True:
        try:
            with _quiet_client():
                async with asyncio.timeout(max(wait_seconds, ANSWER_MS_MAX / 1000)):
                    await attempt.reach()
                    return
        except (KafkaError, OSError) as error:  # TimeoutError is an OSError
            now = time.monotonic()
            hint = attempt.hint(error)
            if now - started_at >= wait_seconds:
                raise KafkaUnreachableError(
                    f"no Kafka answers at {settings.bootstrap} after {wait_seconds:g} s: "
                    f"{hint or str(error) or 'timed out'}"
                ) from error
            if now >= say_at:
                say(f"waiting for Kafka at {settings.bootstrap}{hint and f', {hint}'} …")
                say_at = now + SAY_EVERY_SECONDS
        await asyncio.sleep(TRY_EVERY_SECONDS)


class _Attempt:
    """aiokafka's own clients keep to themselves why they cannot connect; so this asks over connections of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._options = kafka_client_options(settings)
        self._hosts = [(host, port) for host, port, _ in collect_hosts(self._options.pop("bootstrap_servers"))]

    async def reach(self) -> None:
        """Return once a broker answers. Raises SettingsError, or what keeps the last one that was tried from it."""
        brokers = await self._first(self._hosts)
        if not brokers:
            raise KafkaError("it has no brokers yet")
        if not any(broker in self._hosts for broker in brokers):
            try:
                await self._first(brokers)
            except (KafkaError, OSError) as error:
                where = ", ".join(f"{host}:{port}" for host, port in brokers)
                raise OSError(f"it sends its clients to {where}, and there: {error or 'no answer'}") from error

    def hint(self, error: BaseException) -> str:
        """What may be wrong, for a broker that is there and does not talk to us."""
        if not closes_at_once(error):
            return ""
        return (
            f"which closes the connection: is {ENV_PREFIX}SECURITY_PROTOCOL right ({self._settings.security_protocol})?"
        )

    async def _first(self, addresses: Sequence[Address]) -> list[Address]:
        """The brokers that the first of these knows that answers."""
        failure: Exception = KafkaError("no address")
        refused: str | None = None
        for host, port in addresses:
            try:
                return await _brokers(host, port, self._options)
            except (KafkaError, OSError) as error:
                failure = error
                refused = refused or refusal(error, self._settings, f"{host}:{port}")
        if refused is not None:
            raise SettingsError(refused) from failure
        raise failure


async def _brokers(host: str, port: int, options: Mapping[str, Any]) -> list[Address]:
    connection = await create_conn(host, port, request_timeout_ms=ANSWER_MS_MAX, **options)
    try:
        metadata = await connection.send(MetadataRequest([]))
        return [(broker[1], broker[2]) for broker in metadata.brokers]
    finally:
        connection.close()


@contextlib.contextmanager
def _quiet_client() -> Iterator[None]:
    """A broker that is not there yet is what we wait for, and no error: the client logs it as one at each try."""
    client = logging.getLogger("aiokafka")
    level = client.level
    if not client.isEnabledFor(logging.DEBUG):  # whoever asks for all of it gets all of it
        client.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        client.setLevel(level)
