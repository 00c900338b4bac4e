"""The topics as data: what each is for, how long it keeps what, and making sure that the cluster has them so.

Every topic has the same number of partitions, because the stages find each other by the hash of the key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from streams.settings import Settings, kafka_client_options

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
RECORD_BYTES_MAX: Final = 1_048_588  # Kafka's own default, said aloud: gateways and producers refuse by it.
VISIBLE_SECONDS_MAX: Final = 30.0  # After this, a topic that was created and cannot be seen is an error.


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic must be. `config` holds what is special about it, in Kafka's own names."""

    name: str
    doc: str
    cleanup_policy: str = "delete"
    retention_ms: int | None = 7 * DAY_MS
    config: Mapping[str, str] = field(default_factory=dict)

    def topic_config(self, replication_factor: int) -> dict[str, str]:
        """All settings that it is created with and checked for."""
        config = {"cleanup.policy": self.cleanup_policy, "message.timestamp.type": "CreateTime"}
        # One copy may be missing without writes failing; with fewer than three there is none to spare.
        config["min.insync.replicas"] = "2" if replication_factor >= 3 else "1"
        if self.retention_ms is not None:
            config["retention.ms"] = str(self.retention_ms)
        return {**config, **self.config}


_COMPACT: Final = {
    "segment.ms": str(DAY_MS // 4),  # The segment being written is never compacted, so it must not live for a week.
    "min.cleanable.dirty.ratio": "0.3",
    "delete.retention.ms": str(DAY_MS),  # How long a reader may take to see that a key was removed.
}
# Its keys run out within hours, so it is cleaned eagerly: whoever takes over a partition reads all of it.
# The broker's own time on its records, said with each acknowledgement, is what a worker's clock is checked against.
_CHANGELOG: Final = _COMPACT | {
    "segment.ms": str(DAY_MS // 24),
    "min.cleanable.dirty.ratio": "0.2",
    "message.timestamp.type": "LogAppendTime",
}


def _compacted(name: str, doc: str) -> TopicSpec:
    return TopicSpec(name, doc, "compact", None, _COMPACT)


STREAMS: Final = (
    TopicSpec(
        "notifications",
        "Events in, from anyone; key user_id:type.",
        config={"max.message.bytes": str(RECORD_BYTES_MAX)},
    ),
    TopicSpec("due", "Scheduled notifications whose time has come, from schedule to suppress; key user_id:type."),
    TopicSpec("verdicts", "What became of the holder of a slot, from deliver to suppress; key user_id:type."),
    TopicSpec(
        "scheduled", "To be released later, from suppress and deliver, or cancelled, or moved; key user_id:type."
    ),
    TopicSpec(
        "answers", "What became of each cancel, move and erasure; key user_id:type, or user_id.", retention_ms=HOUR_MS
    ),
    TopicSpec("outbox", "Admitted notifications, from suppress and schedule to deliver; key user_id."),
    TopicSpec("outbox-bulk", "The same for types of priority `bulk`: sent when nothing else is to be; key user_id."),
    TopicSpec("statuses", "Every change of state, for anyone; key user_id:type."),
    TopicSpec("dead-letters", "Records that could not be worked on, with the reason.", retention_ms=30 * DAY_MS),
    TopicSpec("replays", "Which dead letters were replayed, in their partitions.", retention_ms=30 * DAY_MS),
    TopicSpec("broadcasts", "Broadcasts, their users and commands for them, to every partition; key broadcast_id."),
    TopicSpec(
        "broadcast-reports",
        "Where each broadcast stands, and its totals at the end; key broadcast_id.",
        retention_ms=30 * DAY_MS,
    ),
    TopicSpec(
        "audit-log",
        "What was done and refused on the web views, in one partition; key `audit`.",
        retention_ms=365 * DAY_MS,
    ),
    _compacted("devices", "The devices of each user; key user_id."),
    TopicSpec("device-changes", "One device of a user is registered or removed, for deliver; key user_id."),
    _compacted("profiles", "The profile of each user; key user_id."),
    _compacted("preferences", "What each user wants to be told, and when; key user_id."),
    _compacted("templates", "Templates that replace those of the types file; key type."),
)
TABLES: Final = {
    "slots": "Who holds each window; ids seen in the last 24 h (suppress).",
    "schedule": "What waits for its time (schedule).",
    "deliveries": "The claim and the outcome for each notification and device (deliver).",
    "broadcasts": "How far each broadcast is, and the users of lists (broadcast).",
    "directory": "Devices, profiles and preferences, as deliver needs them (directory).",
}


_STREAM_NAMES: Final = tuple(spec.name for spec in STREAMS)


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The names of one installation: one for each of STREAMS, prefix included, and the changelogs as Faust has them."""

    app_id: str
    notifications: str
    due: str
    verdicts: str
    scheduled: str
    answers: str
    outbox: str
    outbox_bulk: str
    statuses: str
    dead_letters: str
    replays: str
    broadcasts: str
    broadcast_reports: str
    audit_log: str
    devices: str
    device_changes: str
    profiles: str
    preferences: str
    templates: str

    @classmethod
    def of(cls, settings: Settings) -> TopicNames:
        """Return the names that these settings give."""
        return cls.with_prefix(settings.topic_prefix, settings.app_id)

    @classmethod
    def with_prefix(cls, prefix: str, app_id: str = "ringonce") -> TopicNames:
        """Return the names with this put before each."""
        return cls(app_id, **{_attribute(name): prefix + name for name in _STREAM_NAMES})

    def topic(self, name: str) -> str:
        """The full name of one of STREAMS. Raises KeyError for any other."""
        if name not in _STREAM_NAMES:
            raise KeyError(name)
        full: str = getattr(self, _attribute(name))
        return full

    def changelog(self, table: str) -> str:
        """The full name of the changelog of one of TABLES. Raises KeyError for any other."""
        if table not in TABLES:
            raise KeyError(table)
        return f"{self.app_id}-{table}-changelog"


def _attribute(name: str) -> str:
    return name.replace("-", "_")


def topic_specs(settings: Settings) -> tuple[TopicSpec, ...]:
    """Every topic of an installation under its full name."""
    names = TopicNames.of(settings)
    streams = (
        TopicSpec(names.topic(spec.name), spec.doc, spec.cleanup_policy, spec.retention_ms, spec.config)
        for spec in STREAMS
    )
    changelogs = (
        TopicSpec(names.changelog(table), f"Changelog of the table {table}: {doc}", "compact", None, _CHANGELOG)
        for table, doc in TABLES.items()
    )
    return (*streams, *changelogs)


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """What `ensure_topics` found. `differences` are sentences for a person, one for each thing that is not as it must
    be; without any, the system may start."""

    created: tuple[str, ...]
    differences: tuple[str, ...]


async def ensure_topics(settings: Settings, *, create: bool = True) -> TopicsReport:
    """Create what is missing and compare what is there; an existing topic is never changed.

    With `create=False` a missing topic is a difference. Returns when the cluster shows all that was created. Raises
    what aiokafka raises when the cluster cannot be reached or refuses.
    """
    admin = AIOKafkaAdminClient(**kafka_client_options(settings))
    await admin.start()
    try:
        specs = topic_specs(settings)
        present = set(await admin.list_topics())
        missing = [spec for spec in specs if spec.name not in present]
        differences = [f"{spec.name}: is missing" for spec in missing if not create]
        created: list[str] = []
        if create and missing:
            created = await _create(admin, missing, settings)
        # What was just created is compared too: another worker, with other settings, may have been quicker.
        there = [spec for spec in specs if create or spec.name in present]
        differences += await _compare(admin, there, settings)
        return TopicsReport(tuple(created), tuple(differences))
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, missing: list[TopicSpec], settings: Settings) -> list[str]:
    wanted = [
        NewTopic(
            spec.name,
            settings.partitions,
            settings.replication_factor,
            topic_configs=spec.topic_config(settings.replication_factor),
        )
        for spec in missing
    ]
    response = await admin.create_topics(wanted)
    created = []
    for topic, code, *message in response.topic_errors:
        error = for_code(code)
        if code == 0:
            created.append(topic)
        elif error is not TopicAlreadyExistsError:  # Another worker that starts at the same time was quicker.
            raise error(f"{topic}: {message[0] if message and message[0] else error.description}")
    await wait_until_visible(admin, {spec.name for spec in missing})
    return created


async def wait_until_visible(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    """A broker may answer for a while as if a new topic were not there."""
    async with asyncio.timeout(VISIBLE_SECONDS_MAX):
        while True:
            described = await admin.describe_topics(sorted(names))
            if all(
                topic["error_code"] == 0 and all(partition["leader"] >= 0 for partition in topic["partitions"])
                for topic in described
            ):
                return
            await asyncio.sleep(0.05)


async def _compare(admin: AIOKafkaAdminClient, specs: list[TopicSpec], settings: Settings) -> list[str]:
    if not specs:
        return []
    differences = []
    described = {topic["topic"]: topic for topic in await admin.describe_topics([spec.name for spec in specs])}
    configs = await _topic_configs(admin, [spec.name for spec in specs])
    for spec in specs:
        partitions = described[spec.name]["partitions"]
        if len(partitions) != settings.partitions:
            differences.append(f"{spec.name}: has {len(partitions)} partitions, must have {settings.partitions}")
        replicas = min((len(partition["replicas"]) for partition in partitions), default=0)
        if replicas < settings.replication_factor:
            differences.append(
                f"{spec.name}: has a replication factor of {replicas}, must have {settings.replication_factor}"
            )
        for key, value in spec.topic_config(settings.replication_factor).items():
            actual = configs.get(spec.name, {}).get(key)
            if actual != value:
                differences.append(f"{spec.name}: has {key}={actual}, must have {value}")
    return differences


async def _topic_configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """Ask until the broker that answers knows all topics: of several, one may know a new topic later than the other."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    clock = asyncio.get_running_loop().time
    until = clock() + VISIBLE_SECONDS_MAX
    while True:
        try:
            return configs_of(await admin.describe_configs(resources))
        except UnknownTopicOrPartitionError:
            if clock() > until:
                raise
        await asyncio.sleep(0.05)


def configs_of(responses: list[Any]) -> dict[str, dict[str, str]]:
    """Return what the cluster says of the settings of topics or brokers, by their names. Raises KafkaError."""
    configs: dict[str, dict[str, str]] = {}
    for response in responses:
        for code, message, _, name, entries in response.resources:
            if code != 0:
                raise for_code(code)(f"{name}: {message}")
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs
