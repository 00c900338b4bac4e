"""The Kafka cluster: its brokers and their settings, the topics, the workers that are there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import ApiVersionRequest

from streams.doctor.finding import Finding, fail, ok, skip, warn
from streams.settings import Settings, kafka_client_options
from streams.topics import configs_of, ensure_topics, topic_specs

COPIES_WANTED: Final = 3
SHOWN_MAX: Final = 5
COORDINATOR_SECONDS_MAX: Final = 15.0
AGAIN_SECONDS: Final = 0.3
# What a broker is, by the requests that it knows: it does not say its version. Numbers of Kafka's protocol guide.
OFFSET_FETCH: Final = 9
STABLE_OFFSETS: Final = 7  # KIP-447, Kafka 2.5
LIST_CONFIG_RESOURCES: Final = 74
SINCE_KAFKA_4_1: Final = 1  # KIP-1142


async def check_cluster(settings: Settings) -> AsyncIterator[Finding]:
    """Look at a cluster that answers. Raises what aiokafka raises."""
    admin = AIOKafkaAdminClient(**kafka_client_options(settings))
    await admin.start()
    try:
        brokers = [broker["node_id"] for broker in (await admin.describe_cluster())["brokers"]]
        for finding in _copies(settings, len(brokers)):
            yield finding
        known = await admin._send_request(ApiVersionRequest())
        for finding in judge_requests({key: newest for key, _, newest in known.api_versions}, settings):
            yield finding
        try:
            configs = await _configs(admin, brokers[0])
        except KafkaError as error:
            yield skip("broker", f"its settings cannot be read: {error}", "allow DescribeConfigs on the cluster")
        else:
            for finding in judge_broker(configs, settings, len(brokers)):
                yield finding
        for finding in await _topics(admin, settings):
            yield finding
        yield await _workers(admin, settings)
    finally:
        await admin.close()


def _copies(settings: Settings, brokers: int) -> Iterator[Finding]:
    wanted = settings.replication_factor
    if brokers < wanted:
        todo = "start more brokers, or lower RINGONCE_REPLICATION_FACTOR before the topics are made"
        yield fail("broker", f"{brokers} brokers for a replication factor of {wanted}", todo)
    elif wanted < COPIES_WANTED:
        todo = "for production: three brokers and RINGONCE_REPLICATION_FACTOR=3, set before the topics are made"
        yield warn("broker", f"every record is on {wanted} of {brokers} brokers: one lost disk loses it", todo)
    else:
        yield ok("broker", f"{brokers} brokers, every record on {wanted} of them")


async def _configs(admin: AIOKafkaAdminClient, broker: int) -> dict[str, str]:
    resource = ConfigResource(ConfigResourceType.BROKER, str(broker))
    configs = configs_of(await admin.describe_configs([resource])).get(str(broker))
    if not configs:
        raise KafkaError("none were shown")
    return configs


def judge_requests(newest: Mapping[int, int], settings: Settings) -> Iterator[Finding]:
    """Judge a broker by the newest version of each request that it knows. Pure."""
    if newest.get(OFFSET_FETCH, 0) < STABLE_OFFSETS:
        found = "the brokers are older than Kafka 2.5: what a transaction has committed cannot be asked for"
        yield fail("broker", found, "Kafka 2.5 or later")
    single = settings.replication_factor < COPIES_WANTED
    if single and newest.get(LIST_CONFIG_RESOURCES, 0) >= SINCE_KAFKA_4_1:
        found = (
            "the brokers are Kafka 4.1 or later: where a partition has no leader for a while, as on one broker that "
            "starts again, a transaction that was confirmed may be lost (KAFKA-20734, 4.4.0 has it), and what was "
            "decided in it is decided again"
        )
        yield warn("broker", found, "Kafka 4.0, or three copies of every record")


def judge_broker(configs: Mapping[str, str], settings: Settings, brokers: int) -> Iterator[Finding]:
    """Judge the settings of a broker that the promise rests on. A setting that is not shown is not judged. Pure."""
    bad = list(_bad_settings(configs, settings, brokers))
    yield from bad
    if not bad:
        yield ok("broker", "its settings are as they must be")


def _bad_settings(configs: Mapping[str, str], settings: Settings, brokers: int) -> Iterator[Finding]:
    def number(name: str) -> int | None:
        return int(configs[name]) if name in configs else None

    unclean = configs.get("unclean.leader.election.enable")
    if unclean == "true":
        found = "unclean.leader.election.enable is true: a broker that lost the end of its log may lead"
        yield fail("broker", found, "set it to false, or acknowledged events and claims may be lost")
    session_ms = int(settings.session_timeout_seconds * 1000)
    low, high = number("group.min.session.timeout.ms"), number("group.max.session.timeout.ms")
    if low is not None and session_ms < low:
        found = f"RINGONCE_SESSION_TIMEOUT_SECONDS is {session_ms / 1000:g}, the brokers want {low / 1000:g} at least"
        yield fail("broker", found, "raise it, or lower group.min.session.timeout.ms")
    if high is not None and session_ms > high:
        found = f"RINGONCE_SESSION_TIMEOUT_SECONDS is {session_ms / 1000:g}, the brokers want {high / 1000:g} at most"
        yield fail("broker", found, "lower it, or raise group.max.session.timeout.ms")
    longest = number("transaction.max.timeout.ms")
    if longest is not None and settings.transaction_timeout_seconds * 1000 > longest:
        found = f"RINGONCE_TRANSACTION_TIMEOUT_SECONDS is longer than the brokers' {longest / 1000:g}"
        yield fail("broker", found, "lower it, or raise transaction.max.timeout.ms")
    copies, in_sync = number("transaction.state.log.replication.factor"), number("transaction.state.log.min.isr")
    if brokers >= COPIES_WANTED and copies is not None and copies < COPIES_WANTED:
        found = f"transaction.state.log.replication.factor is {copies}: no transaction goes on while its broker is gone"
        yield warn("broker", found, "set it to 3 before the first transaction, or move that topic")
    if brokers >= COPIES_WANTED and in_sync is not None and in_sync < 2:
        found = f"transaction.state.log.min.isr is {in_sync}: how a transaction ended may be forgotten"
        yield warn("broker", found, "set it to 2")
    offsets = number("offsets.topic.replication.factor")
    if brokers >= COPIES_WANTED and offsets is not None and offsets < COPIES_WANTED:
        found = f"offsets.topic.replication.factor is {offsets}: how far the workers are may be forgotten"
        yield warn("broker", found, "set it to 3 before the first group, or move that topic")


async def _topics(admin: AIOKafkaAdminClient, settings: Settings) -> list[Finding]:
    report = await ensure_topics(settings, create=False)
    findings = [fail("topics", difference, _todo(difference)) for difference in report.differences[:SHOWN_MAX]]
    if len(report.differences) > SHOWN_MAX:
        more = len(report.differences) - SHOWN_MAX
        findings.append(fail("topics", f"and {more} differences more", "`ringonce topics --check` lists all"))
    present = set(await admin.list_topics())
    names = [spec.name for spec in topic_specs(settings) if spec.name in present]
    described = await admin.describe_topics(names) if names else []
    leaderless, behind = 0, 0
    for topic in described:
        for partition in topic["partitions"]:
            leaderless += partition["leader"] < 0
            behind += len(partition["isr"]) < len(partition["replicas"])
    if leaderless:
        found = f"{leaderless} partitions have no leader: nothing of them can be read or written"
        findings.append(fail("topics", found, "bring their brokers back"))
    if behind:
        found = f"{behind} partitions have a copy that is behind or gone"
        findings.append(warn("topics", found, "bring its broker back before another one goes"))
    if not findings:
        findings.append(ok("topics", f"{len(names)} topics are as they must be, every copy in sync"))
    return findings


def _todo(difference: str) -> str:
    if difference.endswith("is missing"):
        return "`ringonce topics` creates what is missing"
    if " partitions, must have " in difference:
        return "the number of partitions stands for good: set RINGONCE_PARTITIONS to it, or see docs/scaling.md"
    return "change the topic with Kafka's own tools; ringonce never changes one"


async def _workers(admin: AIOKafkaAdminClient, settings: Settings) -> Finding:
    try:
        group = await _group(admin, settings.app_id)
    except (KafkaError, IndexError) as error:
        return skip("workers", f"the group {settings.app_id} cannot be looked at: {error}", "allow Describe on it")
    state, members = group[2], group[5]
    if not members:
        return warn("workers", f"no worker is in the group {settings.app_id}", "`ringonce worker`, as many as you like")
    if state != "Stable":
        found = f"{len(members)} workers, whose partitions are moving ({state})"
        return warn("workers", found, "look again in a minute; if it stays so, see the workers' logs")
    return ok("workers", f"{len(members)} workers share the partitions")


async def _group(admin: AIOKafkaAdminClient, group_id: str) -> Any:
    """Describe a group. Where there never was one, a cluster needs some seconds before it says so."""
    give_up_at = time.monotonic() + COORDINATOR_SECONDS_MAX
    while True:
        try:
            return (await admin.describe_consumer_groups([group_id]))[0].groups[0]
        except KafkaError as error:
            if not error.retriable or time.monotonic() > give_up_at:
                raise
        await asyncio.sleep(AGAIN_SECONDS)
