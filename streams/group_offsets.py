"""What a group has committed, asked so that no error and no pending commit passes for an answer.

Two holes of aiokafka 0.14 are closed here, between a transaction and where its partition's next owner begins:
- From version 2 on the answer to OffsetFetch has an error of its own, beside those of its partitions, and then names no
  partition. aiokafka does not look at it: of a coordinator that is still loading, has moved, or refuses the group, it
  says that nothing was ever committed, and whoever believes that begins at the beginning.
- Offsets that a transaction commits become visible some time after it has ended (KIP-447). Only version 7 can ask for
  an answer that waits for them; aiokafka knows three.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiokafka.errors import (
    BrokerResponseError,
    GroupCoordinatorNotAvailableError,
    IncompatibleBrokerVersion,
    KafkaError,
    KafkaTimeoutError,
    NoError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)
from aiokafka.structs import TopicPartition

TOLD_SECONDS_MAX = 60.0  # a coordinator that moves has loaded its groups by then
ASK_AGAIN_SECONDS = 0.1
NOTHING_COMMITTED = -1


class UnstableOffsetCommitError(BrokerResponseError):  # type: ignore[misc] # aiokafka is untyped
    """A transaction that commits offsets of this partition has not ended for the coordinator yet (KIP-447)."""

    errno = 88
    message = "UNSTABLE_OFFSET_COMMIT"
    retriable = True


class OffsetFetchResponse(Response):  # type: ignore[misc] # aiokafka is untyped
    """Version 7 (KIP-447, KIP-482)."""

    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class OffsetFetchRequestV7(RequestStruct):  # type: ignore[misc] # aiokafka is untyped
    """Version 7 (KIP-447, KIP-482)."""

    FLEXIBLE_VERSION = True
    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = OffsetFetchResponse
    SCHEMA = Schema(
        ("group_id", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class OffsetFetch(Request[OffsetFetchRequestV7]):  # type: ignore[misc] # aiokafka is untyped
    """Ask for what a group has committed for these partitions; None: for all of them. `stable`: an error for those for
    which a transaction has not ended, not what was committed before it."""

    API_KEY = 9

    def __init__(self, group: str, partitions: Collection[TopicPartition] | None, stable: bool) -> None:
        self._group = group
        self._stable = stable
        self._topics: list[Any] | None = None
        if partitions is not None:
            by_topic: defaultdict[str, list[int]] = defaultdict(list)
            for topic, partition in sorted(partitions):
                by_topic[topic].append(partition)
            self._topics = [(topic, numbers, {}) for topic, numbers in by_topic.items()]

    def build(self, request_struct_class: type[OffsetFetchRequestV7]) -> OffsetFetchRequestV7:
        """Return what is sent."""
        return request_struct_class(self._group, self._topics, self._stable, {})

    def prepare(self, versions: dict[int, tuple[int, int]]) -> OffsetFetchRequestV7:
        """Return what is sent to a broker of these versions. Raises IncompatibleBrokerVersion."""
        if versions.get(self.API_KEY, (0, 0))[1] < OffsetFetchRequestV7.API_VERSION:
            raise IncompatibleBrokerVersion("Kafka 2.5 or later is needed: offsets of transactions (KIP-447)")
        return self.build(OffsetFetchRequestV7)


def read_answer(answer: Any, wanted: Collection[TopicPartition] | None) -> dict[TopicPartition, int]:
    """Return the offset of each partition that has one. Raises what the answer, or one of its partitions, has for an
    error, and KafkaError when one that was asked for is not in it: an answer without it says nothing about it."""
    _raise_for(answer.error_code, "the group")
    told: dict[TopicPartition, int] = {}
    for topic, partitions, _ in answer.topics or ():
        for partition, offset, _, _, error_code, _ in partitions:
            _raise_for(error_code, f"{topic}-{partition}")
            told[TopicPartition(topic, partition)] = offset
    missing = sorted(set(wanted or ()) - set(told))
    if missing:
        raise KafkaError(f"the group's coordinator said nothing of {missing[0].topic}-{missing[0].partition}")
    return {tp: offset for tp, offset in told.items() if offset != NOTHING_COMMITTED}


def _raise_for(error_code: int, concerning: str) -> None:
    error: type[BrokerResponseError]
    error = UnstableOffsetCommitError if error_code == UnstableOffsetCommitError.errno else for_code(error_code)
    if error is not NoError:
        raise error(f"committed offsets of {concerning}")


async def _until_told(
    ask: Callable[[], Awaitable[Any]],
    wanted: Collection[TopicPartition] | None,
    moved: Callable[[], None],
    seconds_max: float,
) -> dict[TopicPartition, int]:
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + seconds_max
    while True:
        try:
            return read_answer(await ask(), wanted)
        except KafkaError as error:
            if not error.retriable:
                raise
            if loop.time() > give_up_at:
                raise KafkaTimeoutError(f"committed offsets not told within {seconds_max:g} s: {error!r}") from error
            if isinstance(error, NotCoordinatorForGroupError | GroupCoordinatorNotAvailableError):
                moved()
        await asyncio.sleep(ASK_AGAIN_SECONDS)


async def offsets_of_member(
    coordinator: Any, partitions: Collection[TopicPartition], seconds_max: float = TOLD_SECONDS_MAX
) -> dict[TopicPartition, int]:
    """Return what the group of a consumer has committed for these partitions, transactions included that have just
    ended; those for which nothing was ever committed are left out. `coordinator`: the consumer's. Raises KafkaError."""
    request = OffsetFetch(coordinator.group_id, partitions, stable=True)

    async def ask() -> Any:
        await coordinator.ensure_coordinator_known()
        return await coordinator._send_req(request)

    return await _until_told(ask, partitions, coordinator.coordinator_dead, seconds_max)


async def offsets_of_group(admin: Any, group: str, seconds_max: float = TOLD_SECONDS_MAX) -> dict[TopicPartition, int]:
    """Return all that a group has committed, without waiting for transactions that are under way. `admin`: a started
    AIOKafkaAdminClient. Raises KafkaError."""
    request = OffsetFetch(group, None, stable=False)

    async def ask() -> Any:
        return await admin._send_request(request, await admin.find_coordinator(group))

    return await _until_told(ask, None, lambda: None, seconds_max)
