"""How every worker hears of every log-out: each is an entry `session.end` of the audit log, which all of them follow.

Read from as long ago as a session may last, so that a log-out outlives the workers that have heard of it. Before the
log was read to its end nobody comes in by a session; after that, while Kafka does not answer, what was heard counts,
as no log-out is confirmed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any, Final

import aiokafka
from aiokafka.structs import TopicPartition

from schemas.codec import Codec
from schemas.keys import partition_of
from schemas.poison import PoisonError
from streams.kafka_consumer import stop_consumer
from streams.settings import Settings, kafka_client_options
from streams.topics import TopicNames
from streams.web.security.audit_log import KEY
from streams.web.security.ended_sessions import EndedSessions

logger = logging.getLogger(__name__)

END_ACTION: Final = "session.end"
WAIT_MS: Final = 1_000
RECORDS_MAX: Final = 200  # a millisecond or two of the event loop
AGAIN_SECONDS: Final = 2.0


class SessionEnds:
    """Follows the audit log into what is known of sessions that were ended."""

    def __init__(self, settings: Settings, codec: Codec, ended: EndedSessions) -> None:
        topic = TopicNames.of(settings).audit_log
        self._partition = TopicPartition(topic, partition_of(KEY, settings.partitions))
        self._options = kafka_client_options(settings)
        self._codec = codec
        self._ended = ended
        skew_ms = int(settings.clock_skew_seconds_max * 1000)
        self._back_ms = settings.api.session_seconds_max * 1000 + skew_ms

    async def run(self) -> None:
        """Follow until cancelled. What fails is said and begun anew: it must never be what ends a worker."""
        while True:
            consumer = aiokafka.AIOKafkaConsumer(
                enable_auto_commit=False, auto_offset_reset="earliest", **self._options
            )
            try:
                await consumer.start()
                await self._follow(consumer)
            except Exception as error:
                logger.warning("log-outs of other workers are not heard of: %r; again in %g s", error, AGAIN_SECONDS)
            finally:
                await stop_consumer(consumer)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _follow(self, consumer: Any) -> None:
        log = self._partition
        consumer.assign([log])
        end = (await consumer.end_offsets([log]))[log]
        since = (await consumer.offsets_for_times({log: time.time_ns() // 1_000_000 - self._back_ms}))[log]
        consumer.seek(log, end if since is None else since.offset)
        while True:
            if await consumer.position(log) >= end:
                self._ended.known = True
            got = await consumer.getmany(timeout_ms=WAIT_MS, max_records=RECORDS_MAX)
            self._take(got.get(log, ()))
            await asyncio.sleep(0)

    def _take(self, records: Iterable[Any]) -> None:
        for record in records:
            try:
                entry = self._codec.decode(record.value, ("AuditEntry",)).record
            except PoisonError as error:  # `ringonce audit-log` shows that there is one
                logger.warning("%s-%d@%d is no entry: %s", *self._partition, record.offset, error.reason)
                continue
            if entry["action"] == END_ACTION and entry["session_id"]:
                self._ended.end(entry["session_id"], entry["at"])
