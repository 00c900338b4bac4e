"""What a group's coordinator answers about offsets, as it comes over the wire."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    IncompatibleBrokerVersion,
    KafkaError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import TopicPartition

from streams.group_offsets import (
    OffsetFetch,
    OffsetFetchResponse,
    UnstableOffsetCommitError,
    read_answer,
)

A0, A1, B0 = TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)


def answer(topics: list[Any], error_code: int = 0) -> Any:
    """An answer, encoded and decoded."""
    return OffsetFetchResponse.decode(BytesIO(OffsetFetchResponse(0, topics, error_code, {}).encode()))


def partition(number: int, offset: int, error_code: int = 0) -> tuple[Any, ...]:
    return (number, offset, -1, "", error_code, {})


def test_offsets_are_read() -> None:
    """Those that were committed, and not those that never were."""
    told = answer([("a", [partition(0, 7), partition(1, -1)], {}), ("b", [partition(0, 0)], {})])
    assert read_answer(told, [A0, A1, B0]) == {A0: 7, B0: 0}
    assert read_answer(told, None) == {A0: 7, B0: 0}


@pytest.mark.parametrize(
    "error",
    [
        GroupLoadInProgressError,
        GroupCoordinatorNotAvailableError,
        NotCoordinatorForGroupError,
        GroupAuthorizationFailedError,
    ],
)
def test_an_error_of_the_whole_answer_is_raised(error: type[KafkaError]) -> None:
    """It comes without any partition, and must not be read as offsets that were never committed."""
    told = answer([], error.errno)
    with pytest.raises(error):
        read_answer(told, [A0])
    with pytest.raises(error):
        read_answer(told, None)


def test_an_error_of_one_partition_is_raised_with_its_name() -> None:
    """Whatever the others say."""
    told = answer([("a", [partition(0, 7), partition(1, -1, TopicAuthorizationFailedError.errno)], {})])
    with pytest.raises(TopicAuthorizationFailedError, match="a-1"):
        read_answer(told, [A0, A1])


def test_a_pending_commit_is_told_as_what_it_is() -> None:
    """aiokafka has no name for this error, and would not try again."""
    told = answer([("a", [partition(0, -1, 88)], {})])
    with pytest.raises(UnstableOffsetCommitError, match="a-0") as raised:
        read_answer(told, [A0])
    assert raised.value.retriable


def test_a_partition_that_is_left_out_is_no_answer() -> None:
    """What was asked for and is not there was not said to be uncommitted."""
    with pytest.raises(KafkaError, match="said nothing of b-0"):
        read_answer(answer([("a", [partition(0, 7)], {})]), [A0, B0])
    assert read_answer(answer([]), []) == {}


def test_a_broker_that_cannot_wait_for_transactions_is_refused() -> None:
    """Version 7 came with Kafka 2.5; what it is asked is said to it."""
    asked = OffsetFetch("group", [B0, A1, A0], stable=True)
    with pytest.raises(IncompatibleBrokerVersion, match=r"Kafka 2\.5"):
        asked.prepare({9: (0, 6)})
    sent = asked.prepare({9: (0, 8)})
    assert sent.to_object() == {
        "group_id": "group",
        "topics": [
            {"topic": "a", "partitions": [0, 1], "tags": {}},
            {"topic": "b", "partitions": [0], "tags": {}},
        ],
        "require_stable": True,
        "tags": {},
    }
    assert OffsetFetch("group", None, stable=False).prepare({9: (0, 7)}).get_item("topics") is None
