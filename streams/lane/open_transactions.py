"""Whether a fenced partition has a transaction that never ended.

A fence ends what its transactional id had open, so that afterwards nothing is open on a changelog, to which nobody else
writes. Where something still is, the broker has forgotten a transaction, and perhaps one that it had confirmed: it was
seen to (docs/proof.md, "A broker that forgets"). What was decided in it is not to be read, and its claims may have been
acted upon; who goes on there decides it once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import aiokafka
from aiokafka.structs import TopicPartition

from streams.kafka_consumer import stop_consumer

ENDED_SECONDS_MAX = 30.0  # a marker is on all copies in milliseconds
ASK_AGAIN_SECONDS = 0.05


class ForgottenTransactionError(Exception):
    """The broker has forgotten how a transaction ended. Nothing must be decided from what can be read."""


async def until_ended(
    consumer_options: Mapping[str, Any],
    changelogs: Collection[TopicPartition],
    seconds_max: float = ENDED_SECONDS_MAX,
) -> None:
    """Return when all that is on the changelogs of fenced partitions is committed or aborted.

    Raises ForgottenTransactionError where it is not within the time.
    """
    if not changelogs:
        return
    readers: list[Any] = [
        aiokafka.AIOKafkaConsumer(isolation_level=level, enable_auto_commit=False, **consumer_options)
        for level in ("read_committed", "read_uncommitted")
    ]
    try:
        await asyncio.gather(*(reader.start() for reader in readers))
        give_up_at = asyncio.get_running_loop().time() + seconds_max
        while True:
            ended, written = await asyncio.gather(*(reader.end_offsets(list(changelogs)) for reader in readers))
            still_open = sorted(tp for tp, end in written.items() if ended[tp] < end)
            if not still_open:
                return
            if asyncio.get_running_loop().time() > give_up_at:
                tp = still_open[0]
                raise ForgottenTransactionError(
                    f"{tp.topic}-{tp.partition}: a transaction is open at offset {ended[tp]}, though its producer was "
                    "fenced: the broker has forgotten how it ended (docs/proof.md: A broker that forgets). End it with "
                    "Kafka's kafka-transactions.sh; nothing is decided here before"
                )
            await asyncio.sleep(ASK_AGAIN_SECONDS)
    finally:
        await asyncio.gather(*(stop_consumer(reader) for reader in readers))
