"""The worker's Faust app: the four stages over their tables, from settings, types and connectors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from functools import lru_cache
from typing import Any, cast

from connectors.outcome import Connector, ProviderName
from schemas.codec import Codec
from streams.kafka_credentials import broker_credentials
from streams.lane.app import LaneApp, LaneAppOptions
from streams.lane.clock import WallClock, wall_ms
from streams.lane.lane import LaneContext, StepLane
from streams.lane.lanes import Stage
from streams.lane.letters import LetterRule
from streams.lane.table import LaneTable
from streams.metrics import Buckets
from streams.policies.breaking import BreakerRule
from streams.policies.capping import Cap, CapRules
from streams.policies.preferences import TypeHours
from streams.policies.profiles import ProfilePolicy
from streams.policies.quiet_hours import read_quiet_hours
from streams.policies.retrying import RetryPolicy
from streams.policies.suppression import OTHER_TYPES, SlotPolicy
from streams.profiles.source import ProfileSource
from streams.settings import Settings, kafka_client_options
from streams.stages.broadcast import BroadcastDecider, BroadcastLane
from streams.stages.broadcast_metrics import BroadcastCollector
from streams.stages.broadcast_tell import BroadcastOptions
from streams.stages.broadcast_users import DirectoryUsers
from streams.stages.deliver import DeliverLane
from streams.stages.deliver_counts import DeliverCollector, DeliverCounts
from streams.stages.deliver_metrics import ServicesCollector
from streams.stages.deliver_services import ServiceRule, Services
from streams.stages.deliver_types import DeliverPolicy, DeliverSettings, DeliverTables, Priority
from streams.stages.device_metrics import DeviceChangesCollector
from streams.stages.schedule import ScheduleDecider, ScheduleOptions
from streams.stages.schedule_metrics import LATENESS_BOUNDS_MS, ScheduleCollector
from streams.stages.schedule_table import ScheduleTable
from streams.stages.slots_table import SlotsTable
from streams.stages.suppress import SuppressDecider
from streams.stages.suppress_metrics import SlotCounter, SuppressCollector, SuppressCounts
from streams.templates.library import TemplateLibrary
from streams.time_zones import zone_named
from streams.topics import TopicNames
from streams.tracing import Tracer
from streams.types_file import USERS_ZONE, NotificationTypes, TypePolicy
from streams.web.address import advertised_host, web_port

BROADCAST_STEPS_AT_ONCE = 2  # of one worker, beside those of the other stages: bulk never keeps them waiting
# So many deliveries of a partition wait in memory before broadcasts to its users wait too: some seconds of its work.
BEHIND_RECORDS = 1_000
LANE_IN_FLIGHT_MIN = 16  # with many partitions each lane still has a few requests under way


@dataclass(frozen=True, slots=True)
class AppParts:
    """What an app is made of; benchmarks and tests leave parts out or put others in."""

    settings: Settings
    types: NotificationTypes
    connectors: Mapping[ProviderName, Connector] = field(default_factory=dict)
    codec: Codec = field(default_factory=Codec)
    profiles: ProfileSource | None = None
    tracer: Tracer | None = None
    templates: TemplateLibrary | None = None  # without one, only the types file says anything
    stages: frozenset[str] = frozenset(("suppress", "schedule", "deliver", "broadcast"))
    wall_ms: Callable[[], int] = wall_ms
    chance: Callable[[], float] = random.random
    faust: Mapping[str, Any] = field(default_factory=dict)


def create_app(parts: AppParts) -> LaneApp:
    """Return the app with its stages installed, not started."""
    settings = parts.settings
    client_options = kafka_client_options(settings)
    bootstrap = client_options.pop("bootstrap_servers")
    app = LaneApp(
        LaneAppOptions(
            app_id=settings.app_id,
            bootstrap=bootstrap,
            partitions=settings.partitions,
            replication_factor=settings.replication_factor,
            data_dir=str(settings.data_dir),
            client_options=client_options,
            session_timeout_seconds=settings.session_timeout_seconds,
            heartbeat_seconds=settings.heartbeat_seconds,
            transaction_timeout_seconds=settings.transaction_timeout_seconds,
            clock_skew_seconds_max=settings.clock_skew_seconds_max,
            wall_ms=parts.wall_ms,
            letters=letter_rule(parts),
            faust={
                "broker_credentials": broker_credentials(settings),
                "table_standby_replicas": settings.standby_replicas,
                **_web(parts),
                **parts.faust,
            },
        )
    )
    topics = TopicNames.of(settings)
    if "suppress" in parts.stages:
        app.install(_suppress(app, parts, topics))
    if "schedule" in parts.stages:
        app.install(_schedule(app, parts, topics))
    if "deliver" in parts.stages:
        app.install(_deliver(app, parts, topics))
    if "broadcast" in parts.stages:
        app.install(_broadcast(app, parts, topics))
    return app


def letter_rule(parts: AppParts) -> LetterRule:
    """Return what one lane may write to the dead letters: its share of the whole."""
    settings = parts.settings
    lanes = len(parts.stages) * settings.partitions
    return LetterRule(TopicNames.of(settings).dead_letters, settings.dead_letters_per_minute_max / lanes)


def _web(parts: AppParts) -> dict[str, Any]:
    if parts.faust.get("web_enabled") is False:  # then it does not matter who listens on the port
        return {}
    settings = parts.settings
    return {
        "web_bind": settings.web_host,
        "web_host": advertised_host(settings),
        "web_port": web_port(settings),
    }


def _suppress(app: LaneApp, parts: AppParts, topics: TopicNames) -> Stage:
    table = app.lane_table(SlotsTable, "slots")
    assert isinstance(table, SlotsTable)
    policy_of = slot_policies(parts.types, parts.settings)
    counts = SuppressCounts(parts.types.policies)
    app.metrics.add(SuppressCollector(counts, SlotCounter(table, lambda: app.lanes.lanes("suppress"))))

    def new_lane(context: LaneContext) -> StepLane:
        decider = SuppressDecider(
            context.partition, parts.settings.partitions, table, topics, policy_of, parts.codec, counts, parts.tracer
        )
        return StepLane(context, decider)

    sources = (topics.notifications, topics.due, topics.verdicts)
    # Until its verdict comes a slot is held for longer than needed, which nobody notices within half a second.
    return Stage("suppress", sources, (table,), new_lane, patient=frozenset((topics.verdicts,)))


def _schedule(app: LaneApp, parts: AppParts, topics: TopicNames) -> Stage:
    table = app.lane_table(ScheduleTable, "schedule")
    assert isinstance(table, ScheduleTable)
    settings = parts.settings
    lateness = Buckets(LATENESS_BOUNDS_MS)
    options = ScheduleOptions(settings.release_per_second_max / settings.partitions, lateness, parts.tracer)

    def deciders() -> dict[int, ScheduleDecider]:
        lanes = cast("dict[int, StepLane]", app.lanes.lanes("schedule"))
        return {partition: cast(ScheduleDecider, lane.decider) for partition, lane in lanes.items()}

    app.metrics.add(ScheduleCollector(deciders, lateness, parts.wall_ms))

    def new_lane(context: LaneContext) -> StepLane:
        decider = ScheduleDecider(context.partition, settings.partitions, table, topics, parts.codec, options)
        return StepLane(context, decider, WallClock(context.wall_ms))

    return Stage("schedule", (topics.scheduled,), (table,), new_lane)


def _deliver(app: LaneApp, parts: AppParts, topics: TopicNames) -> Stage:
    def share() -> float:
        return len(app.lanes.lanes("deliver")) / parts.settings.partitions

    tables = DeliverTables(app.lane_table(LaneTable, "deliveries"), app.lane_table(LaneTable, "directory"))
    settings = DeliverSettings(
        partitions=parts.settings.partitions,
        in_flight_max=max(LANE_IN_FLIGHT_MIN, parts.settings.deliver_in_flight // parts.settings.partitions),
        claim_seconds=parts.settings.session_timeout_seconds,
        grace_ms=int(parts.settings.grace_seconds * 1000),
        chance=parts.chance,
        connectors=parts.connectors,
        policy_of=deliver_policies(parts.types, parts.settings.time_zone),
        services=Services(service_rules(parts.settings), share),
        caps=caps_of(parts.types),
        skew_ms=int(parts.settings.clock_skew_seconds_max * 1000),
        choose=(parts.templates or TemplateLibrary(parts.types, parts.settings.locale)).choose,
        profiles=parts.profiles,
        devices_max=parts.settings.devices_per_user_max,
        counts=DeliverCounts(parts.types.policies),
        tracer=parts.tracer,
    )
    app.metrics.add(DeliverCollector(settings.counts))
    app.metrics.add(DeviceChangesCollector(settings.device_changes))
    app.metrics.add(ServicesCollector(settings.services, parts.wall_ms))

    def new_lane(context: LaneContext) -> DeliverLane:
        return DeliverLane(context, tables, topics, settings, parts.codec)

    directory = (topics.devices, topics.device_changes, topics.preferences, topics.profiles)
    sources = (topics.outbox, topics.outbox_bulk, *directory, topics.templates)
    return Stage(
        "deliver",
        sources,
        (tables.deliveries, tables.directory),
        new_lane,
        last=frozenset((topics.outbox_bulk,)),
    )


def caps_of(types: NotificationTypes) -> tuple[Cap, ...]:
    """Return the caps as deliver wants them."""
    return tuple(Cap(cap.limit, cap.window_seconds * 1000) for cap in types.caps)


def _broadcast(app: LaneApp, parts: AppParts, topics: TopicNames) -> Stage:
    table = app.lane_table(LaneTable, "broadcasts")
    has_directory = "directory" in app.tables  # that of deliver
    directory = app.tables["directory"] if has_directory else app.lane_table(LaneTable, "directory")
    assert isinstance(directory, LaneTable)
    settings = parts.settings
    gate = asyncio.Semaphore(BROADCAST_STEPS_AT_ONCE)

    def deciders() -> dict[int, BroadcastDecider]:
        lanes = cast("dict[int, StepLane]", app.lanes.lanes("broadcast"))
        return {partition: cast(BroadcastDecider, lane.decider) for partition, lane in lanes.items()}

    app.metrics.add(BroadcastCollector(deciders))

    def new_lane(context: LaneContext) -> BroadcastLane:
        partition = context.partition

        def is_here() -> bool:
            # All lanes are opened together, once all tables are recovered. Partitions of workers that do not know this
            # stage yet are assigned apart from it: then the directory may be elsewhere, and its local rows old. Where
            # its topics are still read, users who are there seem not to be.
            if "deliver" not in app.lanes.stages:
                return True
            lane = cast("DeliverLane | None", app.lanes.lanes("deliver").get(partition))
            return lane is not None and lane.directory_is_read

        def is_behind() -> bool:
            lane = app.lanes.lanes("deliver").get(partition)
            return lane is not None and lane.queued_records >= BEHIND_RECORDS

        options = BroadcastOptions(
            settings.broadcast_per_second, lambda name: parts.types.policy(name) is not None, is_behind
        )
        users = DirectoryUsers(directory, partition, is_here)
        decider = BroadcastDecider(partition, settings.partitions, table, users, topics, parts.codec, options)
        return BroadcastLane(replace(context, gate=gate), decider)

    return Stage("broadcast", (topics.broadcasts,), (table,), new_lane)


def slot_policies(types: NotificationTypes, settings: Settings) -> Callable[[bytes], SlotPolicy | None]:
    """Return what gives the rules of a slot by its key."""
    grace_ms, skew_ms = int(settings.grace_seconds * 1000), int(settings.clock_skew_seconds_max * 1000)

    @lru_cache(maxsize=10_000)
    def of_type(name: bytes) -> SlotPolicy | None:
        policy = types.policy(name.decode())
        if policy is None:
            return None
        return SlotPolicy(
            window_ms=policy.window_seconds * 1000,
            limit=policy.limit,
            send_within_ms=int(policy.send_within_seconds * 1000),
            grace_ms=grace_ms,
            skew_ms=skew_ms,
            bulk=policy.priority == "bulk",
            label=name.decode() if name.decode() in types.policies else OTHER_TYPES,
        )

    return lambda slot: of_type(slot.rpartition(b":")[2])


def deliver_policies(types: NotificationTypes, time_zone: str = "UTC") -> Callable[[str], DeliverPolicy | None]:
    """Return what gives the rules of sending by type. `time_zone`: of users who name none, where a type names none."""

    @lru_cache(maxsize=10_000)
    def of_type(name: str) -> DeliverPolicy | None:
        policy = types.policy(name)
        return None if policy is None else _deliver_policy(policy, time_zone)

    return of_type


def _deliver_policy(policy: TypePolicy, time_zone: str) -> DeliverPolicy:
    return DeliverPolicy(
        retry=RetryPolicy(
            attempts=policy.attempts,
            backoff_ms_first=int(policy.backoff_seconds_first * 1000),
            backoff_ms_max=int(policy.backoff_seconds_max * 1000),
        ),
        ttl_seconds=policy.ttl_seconds,
        urgent=policy.urgent,
        newest_device=policy.devices == "newest",
        resend_unknown=policy.on_unknown == "resend",
        hours=_hours(policy, time_zone),
        wait_ms_max=policy.wait_seconds_max * 1000,
        priority=Priority[policy.priority.upper()],
        cap=CapRules(policy.counts_for_cap, policy.ignores_cap, policy.on_cap == "defer"),
        profile=_profile(policy),
    )


def _profile(policy: TypePolicy) -> ProfilePolicy:
    on_missing = policy.on_missing_profile or ("dead" if policy.profile == "required" else "fallback")
    return ProfilePolicy(policy.profile, on_missing, int(policy.profile_wait_seconds * 1000))


def service_rules(settings: Settings) -> Mapping[ProviderName, ServiceRule]:
    """Return the pace and the breaker of each provider."""
    rules = {}
    for name in ProviderName:
        provider = getattr(settings, name.value)
        breaker = BreakerRule(provider.breaker_failures, open_ms_max=int(provider.breaker_seconds_max * 1000))
        rules[name] = ServiceRule(provider.per_second_max, int(provider.ramp_up_seconds * 1000), breaker)
    return rules


def _hours(policy: TypePolicy, time_zone: str) -> TypeHours:
    quiet_zone = None if policy.quiet_hours_zone == USERS_ZONE else zone_named(policy.quiet_hours_zone)
    return TypeHours(
        zone=zone_named(policy.time_zone or time_zone) or UTC,
        quiet_hours=tuple(map(read_quiet_hours, policy.quiet_hours)),
        quiet_zone=quiet_zone,
        ignores_users=policy.ignore_quiet_hours,
        hold_ms_max=policy.hold_seconds_max * 1000,
    )
