"""Reads the topic `templates` into the library: all of it before the worker is ready, then whatever comes.

With a consumer of its own over all partitions, because each worker needs every template. After a failure it begins
anew from the start, so that a removal that was compacted away meanwhile is seen as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import aiokafka
from aiokafka.structs import TopicPartition

from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.kafka_consumer import stop_consumer
from streams.policies.rendering import TypeTemplate
from streams.settings import Settings, kafka_client_options
from streams.templates.documents import TemplateDocument, TemplatesError
from streams.templates.library import TemplateLibrary
from streams.templates.records import compiled_record, read_record
from streams.topics import TopicNames

logger = logging.getLogger(__name__)

WAIT_MS: Final = 1_000
RECORDS_MAX: Final = 500
AGAIN_SECONDS: Final = 5.0

Said = TemplateDocument | TemplatesError | None  # one record: a template, why it is none, or that it is removed


class Newest(NamedTuple):
    """What the newest records of a type come to: the last good one, and why a newer one is refused.

    `good` is None where the type was removed, and the mistake where none of them is good.
    """

    good: TypeTemplate | TemplatesError | None
    refused: TemplatesError | None


class TemplatesUnreadError(Exception):
    """The topic could not be read to its end in time."""


class TemplateFollower:
    """Keeps the library as the topic is."""

    def __init__(self, settings: Settings, codec: Codec, library: TemplateLibrary) -> None:
        self._settings = settings
        self._codec = codec
        self._library = library
        self._topic = TopicNames.of(settings).templates
        self._consumer: Any = None

    async def load(self) -> None:
        """Read the topic to the end that it has now. Raises TemplatesUnreadError, KafkaError, RegistryError."""
        seconds = self._settings.templates_wait_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._begin()
        except TimeoutError:
            raise TemplatesUnreadError(
                f"{self._topic}: not read to its end within {seconds:g} s (RINGONCE_TEMPLATES_WAIT_SECONDS)"
            ) from None

    async def run(self) -> None:
        """Follow the topic, for ever; what fails is said, and begun anew."""
        while True:
            try:
                if self._consumer is None:
                    await self._begin()
                await self._take(await self._read(self._consumer))
            except Exception as error:  # whatever it is, a worker that no longer hears of templates is the worse end
                logger.warning("%s: %r; the templates stay as they are, it is read anew", self._topic, error)
                await self.close()
                await asyncio.sleep(AGAIN_SECONDS)

    async def close(self) -> None:
        """Let go of the connection."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer)

    async def _begin(self) -> None:
        consumer = aiokafka.AIOKafkaConsumer(
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **kafka_client_options(self._settings),
        )
        try:
            await consumer.start()
            partitions = [TopicPartition(self._topic, number) for number in range(self._settings.partitions)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            said: dict[str, list[Said]] = {}
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for type, newer in (await self._read(consumer)).items():
                    said.setdefault(type, []).extend(newer)
            await self._take(said)
        except BaseException:
            await stop_consumer(consumer)
            raise
        self._consumer = consumer
        for type in self._library.types_of("topic") - said.keys():
            self._library.remove("topic", type)

    async def _read(self, consumer: Any) -> dict[str, list[Said]]:
        """What has arrived, by type in its order. What is of no type at all is for the dead letters only."""
        said: dict[str, list[Said]] = {}
        for records in (await consumer.getmany(timeout_ms=WAIT_MS, max_records=RECORDS_MAX)).values():
            for record in records:
                try:
                    found: Said = read_record(record.key, record.value, self._codec)
                except PoisonError as error:
                    if error.code == "NO_KEY" or not record.key.isascii():
                        continue
                    found = TemplatesError([error.reason])
                said.setdefault(record.key.decode(), []).append(found)
        return said

    async def _take(self, said: Mapping[str, list[Said]]) -> None:
        """Compile in a thread of its own, then swap at once."""
        if not said:
            return
        for type, newest in (await asyncio.to_thread(_newest_of_each, said)).items():
            if isinstance(newest.good, TypeTemplate):
                self._library.put("topic", newest.good)
            elif newest.good is None:
                self._library.remove("topic", type)
            if newest.refused is not None:
                self._library.refuse("topic", type, newest.refused)


def _newest_of_each(said: Mapping[str, list[Said]]) -> dict[str, Newest]:
    return {type: _newest(records) for type, records in said.items()}


def _newest(records: Iterable[Said]) -> Newest:
    """From the newest one back to the first that is good, so that none is compiled that nobody needs."""
    refused: TemplatesError | None = None
    for record in reversed(list(records)):
        try:
            if isinstance(record, TemplatesError):
                raise record
            return Newest(None if record is None else compiled_record(record), refused)
        except TemplatesError as error:
            refused = refused or error
    assert refused is not None, "there is at least one record"
    return Newest(refused, refused)
