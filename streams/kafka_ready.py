"""Waiting for a Kafka that is not there yet, aloud and not for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.settings import Settings, kafka_client_options

SAY_EVERY_SECONDS = 3.0
TRY_EVERY_SECONDS = 0.3


class KafkaUnreachableError(Exception):
    """Kafka did not answer within the time that the caller was ready to wait."""


async def wait_for_kafka(settings: Settings, wait_seconds: float, say: Callable[[str], None]) -> None:
    """Return once Kafka answers. Raises KafkaUnreachableError after `wait_seconds`, having said so every 3 s."""
    options = kafka_client_options(settings)
    started_at = time.monotonic()
    say_at = started_at
    while True:
        admin = AIOKafkaAdminClient(**options, request_timeout_ms=3000)
        try:
            with _quiet_client():
                async with asyncio.timeout(max(wait_seconds, 3.0)):
                    await admin.start()
                    return
        except (KafkaError, OSError, TimeoutError) as error:
            now = time.monotonic()
            if now - started_at >= wait_seconds:
                raise KafkaUnreachableError(
                    f"no Kafka answers at {settings.bootstrap} after {wait_seconds:g} s: {error or 'timed out'}"
                ) from error
            if now >= say_at:
                say(f"waiting for Kafka at {settings.bootstrap} …")
                say_at = now + SAY_EVERY_SECONDS
        finally:
            await admin.close()
        await asyncio.sleep(TRY_EVERY_SECONDS)


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
