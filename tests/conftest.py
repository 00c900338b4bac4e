"""What every test may ask for: a real broker, and names that no other test has."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Iterator

import pytest

from connectors.embedded_kafka import EmbeddedKafka


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The bootstrap address of a real Kafka that all tests of the session share.

    `KAFKA_BOOTSTRAP` names a running one. `RINGONCE_TEST_BROKER=testcontainers` starts one in Docker. The default is
    the embedded one.
    """
    if running := os.environ.get("KAFKA_BOOTSTRAP"):
        yield running
    elif (wanted := os.environ.get("RINGONCE_TEST_BROKER", "embedded")) == "testcontainers":
        yield from _kafka_in_docker()
    elif wanted == "embedded":
        with EmbeddedKafka(fast_start=True) as broker:
            yield broker.bootstrap
    else:
        pytest.fail(f"RINGONCE_TEST_BROKER must be embedded or testcontainers, is {wanted}")


def _kafka_in_docker() -> Iterator[str]:
    import docker
    from testcontainers.community.kafka import KafkaContainer

    try:
        docker.from_env(timeout=5).ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"RINGONCE_TEST_BROKER=testcontainers, but no Docker engine answers: {error}")
    container = (
        KafkaContainer()
        .with_kraft()
        .with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
        .with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .with_env("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "1000")
    )
    with container as running:
        yield running.get_bootstrap_server()


@pytest.fixture(scope="module", autouse=True)
def garbage_is_taken_away() -> Iterator[None]:
    """After each module: a table that nobody closed has files open until the collector finds it."""
    yield
    gc.collect()


@pytest.fixture
def prefix() -> str:
    """A prefix for topics, an app id, a consumer group: unique, so that tests and test runs never meet."""
    return f"t{uuid.uuid4().hex[:10]}-"
