"""What deliver is given: its rules by type, its settings, its tables."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from connectors.outcome import Connector, ProviderName
from streams.lane.table import LaneTable
from streams.policies.capping import Cap, CapRules
from streams.policies.preferences import TypeHours
from streams.policies.profiles import NEEDS_NONE, ProfilePolicy
from streams.policies.rendering import Chosen, RenderFailed
from streams.policies.retrying import RetryPolicy
from streams.profiles.source import ProfileSource
from streams.stages.deliver_counts import DeliverCounts
from streams.stages.deliver_services import Services
from streams.tracing import Tracer


class Priority(IntEnum):
    """What leaves first."""

    CRITICAL = 0
    NORMAL = 1
    BULK = 2


DEVICES_MAX = 100  # more is a test, or somebody who never says what is gone; each gets a push of its own


class DeliverPolicy(NamedTuple):
    """The rules of one notification type, as far as sending goes.

    `newest_device`: only the one registered last. `resend_unknown`: what may have been sent is sent again, under the
    same push id and collapse id, so that the device shows one; else it counts as sent. `hours`: its quiet
    hours and its zone. `wait_ms_max`: for so long it may wait for a provider, beyond `send_by`. `priority`: what leaves
    first. `cap`: what it has to do with the caps of its user. `profile`: whether its texts need what is known of the
    user.
    """

    retry: RetryPolicy
    ttl_seconds: int
    urgent: bool
    newest_device: bool
    resend_unknown: bool
    hours: TypeHours = TypeHours()
    wait_ms_max: int = 0
    priority: Priority = Priority.NORMAL
    cap: CapRules = CapRules()
    profile: ProfilePolicy = ProfilePolicy()


# What was admitted under a types file that still had its type is not sent, and ends like any other.
REMOVED_TYPE = DeliverPolicy(RetryPolicy(1, 1, 1), 0, False, False, False, profile=NEEDS_NONE)


@dataclass(frozen=True, slots=True)
class DeliverSettings:
    """`in_flight_max`: requests under way in one lane, to each service. `claim_seconds`: a claim that is not started by
    then is not started at all, so that a worker that was paused or lost its broker stops before `send_by` runs out.
    `chance` draws from [0, 1). `services`: of the whole worker. `caps` hold for each user over all types. `skew_ms` is
    the most by which two workers' clocks differ. `profiles`: who is asked about users without a record on the topic of
    profiles. `choose` gives what a type says to a reader of a locale, where it is known, on a provider.
    `devices_max`: of one user. `device_changes` counts what became of devices, `counts` all else, over all lanes of a
    worker. `deciding` is held by the one lane of a worker that decides now."""

    partitions: int
    in_flight_max: int
    claim_seconds: float
    grace_ms: int
    chance: Callable[[], float]
    connectors: Mapping[ProviderName, Connector]
    policy_of: Callable[[str], DeliverPolicy | None]
    choose: Callable[[str, str | None, str], Chosen | RenderFailed]
    services: Services = field(default_factory=lambda: Services({}))
    caps: tuple[Cap, ...] = ()
    skew_ms: int = 0
    profiles: ProfileSource | None = None
    devices_max: int = DEVICES_MAX
    device_changes: Counter[str] = field(default_factory=Counter)
    counts: DeliverCounts = field(default_factory=DeliverCounts)
    deciding: asyncio.Lock = field(default_factory=asyncio.Lock)
    tracer: Tracer | None = None


@dataclass(frozen=True, slots=True)
class DeliverTables:
    """`deliveries`: claims and outcomes by notification, places of the caps by user. `directory`: devices, preferences
    and profile by user."""

    deliveries: LaneTable
    directory: LaneTable
