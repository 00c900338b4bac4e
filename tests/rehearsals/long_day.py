"""The long day: what must last for half a minute, or for more than one, before it is an alert; on one system."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.keys import partition_of, slot_key
from streams.publish.messages import Message
from streams.settings import kafka_client_options
from streams.topics import topic_specs
from tests.integration.system import PARTITIONS, event, now_ms
from tests.rehearsals.beside import beside
from tests.rehearsals.prometheus_server import SECONDS_MAX, until
from tests.rehearsals.rehearsal import Stage
from tests.rehearsals.shown import shown

USERS = [f"user-{number:06d}" for number in range(60)]
ALERT_SECONDS_MAX = 180.0
ANSWER_SECONDS = 12.0
PROFILE_WAIT_SECONDS = 35
WELL = PARTITIONS - 1  # the partition that no poison comes to
POISON = 120  # in each of the others, of 20 that may die in a minute: then nothing is taken for five minutes
FLOOD_FIRST = 15_000
FLOOD_PER_SECOND = 400
FREEZE_SECONDS = 3.2  # a commit that meets it takes longer than 2.5 s
THAW_SECONDS = 0.8
LOAD_EVENTS = 400_000
LOAD_TYPES = 40
SETTINGS = {
    "DEAD_LETTERS_PER_MINUTE_MAX": "480",  # 20 for each lane
    "RELEASE_PER_SECOND_MAX": "0.1",
    "HISTORY": "worker",
    "GRACE_SECONDS": "60",
    **{f"{name}_REQUEST_TIMEOUT_SECONDS": "40" for name in ("APNS", "FCM", "WEBPUSH", "WEBHOOK")},
}
GREETINGS = [f"greeting_{number}" for number in range(60)]
TYPES = """
allow_unknown = true

[defaults]
profile = "none"
title = "{{ type }}"
""" + "".join(
    f"[types.{name}]\nprofile = 'optional'\nprofile_wait_seconds = {PROFILE_WAIT_SECONDS}\n" for name in GREETINGS
)


def play(made: Stage) -> None:
    """Play the whole day."""
    late_everywhere(made)
    commits_that_hang(made)
    entries_that_are_lost(made)
    a_topic_that_takes_nothing(made)
    more_than_the_audit_can_read(made)
    made.nothing_fires()


def late_everywhere(made: Stage) -> None:
    """A slow provider, no profiles, releases that are throttled, and a flood behind poison, all at once."""
    since = time.monotonic()
    made.provider_fault("fcm", "slow", seconds=ANSWER_SECONDS)
    made.user_service.mood = "500"
    made.found.produce([_scheduled(user, "scheduled") for user in USERS])
    lock = _lock_the_history(made)
    time.sleep(2)  # they are past suppress before it is held
    with _every_half_second(made, _greetings()), _wild_producer(made):
        made.fires(
            since,
            "RingonceProviderSlow",
            "RingonceReleasesLate",
            "RingonceSendingSlow",
            "RingonceLag",
            "RingonceLagGrows",
            "RingonceHistoryDown",
            seconds_max=ALERT_SECONDS_MAX,
        )
        how_late(made)
    mended = time.monotonic()
    lock.close()
    made.resolves(mended, "RingonceHistoryDown")
    assert made.server.value("max(ringonce_history_down)") == 0
    mended = time.monotonic()
    made.provider_mended("fcm")
    made.user_service.mood = "well"
    made.set(DEAD_LETTERS_PER_MINUTE_MAX="60000", RELEASE_PER_SECOND_MAX="0", HISTORY="off")
    made.restart_worker()
    made.scraped()
    # What had waited is admitted now, and only then it is known how long that took.
    made.fires(since, "RingonceAdmissionSlow")
    late = ("ProviderSlow", "ReleasesLate", "SendingSlow", "Lag", "LagGrows", "AdmissionSlow")
    made.resolves(mended, *(f"Ringonce{name}" for name in late), seconds_max=ALERT_SECONDS_MAX)


def _lock_the_history(made: Stage) -> sqlite3.Connection:
    """As a program would that somebody has left open in the middle of a change."""
    (file,) = made.data_dir.glob("**/history.db")
    database = sqlite3.connect(file, isolation_level=None, timeout=SECONDS_MAX)
    database.execute("BEGIN EXCLUSIVE")
    return database


def how_late(made: Stage) -> None:
    """The first row of the dashboard answers in seconds, in red, and names who fails."""
    late = shown(made.server, "How late is it?")
    for name in ("oldest waits", "schedule overdue"):
        assert late[name].value > 60 and late[name].colour == "red", late
    assert late["99 % within"].value > 30 and late["99 % within"].colour in ("orange", "red"), late
    (healthy,) = shown(made.server, "Is it healthy?").values()
    assert (healthy.text, healthy.colour) == ("NO", "red")
    failing = shown(made.server, "Who is failing?")
    assert {"user service: left alone", "dead letters of suppress"} <= set(failing), failing


def _scheduled(user: str, kind: str) -> Message:
    return event(user, kind, f"{kind}-{user}", send_at=now_ms() + 3_000, data={})


def _slots(kinds: Iterable[str], partition: int) -> Iterator[tuple[str, str]]:
    """Users and types whose slots are in a partition."""
    return (
        (user, kind) for kind in kinds for user in USERS if partition_of(slot_key(user, kind), PARTITIONS) == partition
    )


def _greetings() -> Iterator[list[Message]]:
    """One by one, each with a slot of its own."""
    for user, kind in _slots(GREETINGS, WELL):
        yield [event(user, kind, f"{kind}-{user}")]


def _every_half_second(made: Stage, messages: Iterator[list[Message]]) -> AbstractContextManager[None]:
    """Produce the next ones again and again, as long as the block lasts."""
    return beside(lambda: _produce(made, next(messages)), 0.5)


def _produce(made: Stage, messages: list[Message]) -> None:
    made.found.produce(messages)


@contextmanager
def _wild_producer(made: Stage) -> Iterator[None]:
    """Poison, sound events behind it, and behind these more and more, as long as the block lasts."""
    held = [partition for partition in range(PARTITIONS) if partition != WELL]
    made.found.produce(_poison(held))
    until(lambda: made.server.value("count(ringonce_dead_letters_paused > 0)") == len(held), made.worker.last_lines)
    made.found.produce(
        event(user, kind, f"{kind}-{user}") for partition in held for user, kind in _slots(("sound",), partition)
    )
    made.found.produce([_wild(number) for number in range(FLOOD_FIRST)])
    flood = ([_wild(number + each) for each in range(FLOOD_PER_SECOND // 2)] for number in itertools.count())
    with _every_half_second(made, flood):
        yield


def _poison(partitions: Iterable[int]) -> Iterator[Message]:
    """Records that are no Avro, for each of these partitions."""
    for partition in partitions:
        user, kind = next(_slots((f"broken_{number}" for number in itertools.count()), partition))
        yield from itertools.repeat(Message(slot_key(user, kind), b"poison"), POISON)


def _wild(number: int) -> Message:
    return event(USERS[number % len(USERS)], "wild", f"wild-{number}-{uuid.uuid4().hex[:8]}")


def commits_that_hang(made: Stage) -> None:
    """The broker stands still again and again while a few events a second come in."""
    since = time.monotonic()
    few = (_few(number) for number in itertools.count())
    with _every_half_second(made, few), beside(lambda: _freeze(made), THAW_SECONDS):
        made.fires(since, "RingonceCommitsSlow", seconds_max=ALERT_SECONDS_MAX)
    made.resolves(time.monotonic(), "RingonceCommitsSlow")


def _freeze(made: Stage) -> None:
    with made.frozen_broker():
        time.sleep(FREEZE_SECONDS)


def _few(number: int) -> list[Message]:
    return [event(USERS[(number + each) % 60], f"few_{number}", f"few-{number}") for each in range(6)]


def entries_that_are_lost(made: Stage) -> None:
    """Somebody tries keys that are wrong while the topic refuses what the audit log has to say about it."""
    made.set(API_KEYS_FILE=str(made.found.directory / "keys.json"))
    made.command("keys", "create", "--name", "operator", "--scope", "read")
    made.restart_worker()
    made.scraped()
    topic = made.found.topics.audit_log
    asyncio.run(_set_topic(made, topic, "10"))
    since = time.monotonic()
    for _ in range(3):
        answer = httpx.get(
            f"http://{made.address}/users/user-000001/devices",
            headers={"Authorization": "Bearer ro_0123456789ab_" + "x" * 43},
            timeout=SECONDS_MAX,
            trust_env=False,
        )
        assert answer.status_code == 401
    made.fires(since, "RingonceAuditLogLost")
    assert "not in the audit log: key.refused" in made.worker.log_file.read_text(encoding="utf-8")
    asyncio.run(_set_topic(made, topic, "1048588"))
    made.resolves(time.monotonic(), "RingonceAuditLogLost")


def a_topic_that_takes_nothing(made: Stage) -> None:
    """Batches of `statuses` are refused, so every step fails; the topic is set right, and the worker mends itself."""
    since = time.monotonic()
    topic = made.found.topics.statuses
    asyncio.run(_set_topic(made, topic, "100"))
    made.found.produce([event(user, "refused", f"refused-{user}") for user in USERS])
    made.fires(since, "RingonceRestarting", seconds_max=ALERT_SECONDS_MAX)
    assert f"{made.address}: starts anew again and again" in shown(made.server, "Who is failing?")
    log = made.worker.log_file.read_text(encoding="utf-8")
    assert f"{topic} refuses: MessageSizeTooLargeError" in log, "the log names the topic"
    pid = made.worker.popen.pid
    asyncio.run(_set_topic(made, topic, "1048588"))
    mended = time.monotonic()
    # While it starts once more it shows nothing, which would look as if all were over.
    until(lambda: made.server.value("ringonce_restarts") == 0, made.worker.last_lines, ALERT_SECONDS_MAX)
    made.scraped()
    made.resolves(mended, "RingonceRestarting")
    os.kill(pid, 0)
    assert made.worker.popen.poll() is None, "it is the same process, which mended itself"
    made.found.statuses(lambda seen: seen.states(f"refused-{USERS[0]}")[-1:] == ["ACCEPTED"])


async def _set_topic(made: Stage, topic: str, bytes_max: str) -> None:
    # Kafka sets back what is not named.
    (spec,) = [spec for spec in topic_specs(made.found.settings) if spec.name == topic]
    config = {**spec.topic_config(1), "max.message.bytes": bytes_max}
    admin = AIOKafkaAdminClient(**kafka_client_options(made.found.settings))
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
    finally:
        await admin.close()


def more_than_the_audit_can_read(made: Stage) -> None:
    """After a pause statuses come as fast as suppress decides, for longer than the audit may lag."""
    made.worker.stop()
    made.found.produce(
        event(USERS[number % 60], f"load_{number // 60 % LOAD_TYPES}", f"load-{number}")
        for number in range(LOAD_EVENTS)
    )
    since = time.monotonic()
    made.start_worker()
    made.fires(since, "RingonceAuditOverwhelmed", seconds_max=ALERT_SECONDS_MAX)
    made.resolves(time.monotonic(), "RingonceAuditOverwhelmed", seconds_max=ALERT_SECONDS_MAX)
    assert "kept" in made.command("audit")
