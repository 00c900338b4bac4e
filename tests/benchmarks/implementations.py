"""What suppression is measured against: each way to do it, and how its process is started."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from streams.settings import Settings
from streams.topics import TopicNames
from tests.benchmarks.peers.given import Given
from tests.benchmarks.peers.packages import ROOT, kafka_streams_command, python_path, redis_server

SCHEMAS: Final = ROOT / "schemas" / "avsc"


@dataclass(frozen=True, slots=True)
class Implementation:
    """One way to do it. `ends_with`: what shows that it is done; a status, where it commits seldom. `peer`: whose
    packages it needs, with `mode` for it. `events_share`: which part of the events it is given. `checkout`: whose code
    it is. `waits`: it does not read what is not committed, so that it can be started before the events are readable.
    `interpreted`: by Python, also where we are compiled. `counts_only`: it tells how many events ended how, not how
    each did."""

    name: str
    module: str
    ends_with: Literal["commit", "status"]
    events_share: float = 1.0
    peer: Literal["", "kafka streams", "quix", "bytewax", "redis"] = ""
    mode: str = ""
    waits: bool = True
    interpreted: bool = False
    tells_stories: bool = False
    counts_only: bool = False
    checkout: Path | None = None


_PEERS: Final = "tests.benchmarks.peers"
IMPLEMENTATIONS: Final = (
    Implementation("ringonce", "tests.suppress_worker", "commit"),
    Implementation("ringonce, not compiled", "tests.suppress_worker", "commit", interpreted=True),
    Implementation("ringonce, stories", "tests.suppress_worker", "commit", tells_stories=True),
    Implementation("ringonce, counts only", "tests.benchmarks.counting_worker", "commit", counts_only=True),
    Implementation("kafka streams, exactly once", "", "commit", peer="kafka streams", mode="exactly_once_v2"),
    Implementation("kafka streams, at least once", "", "status", peer="kafka streams", mode="at_least_once"),
    Implementation("plain loop", "tests.benchmarks.plain_loop", "commit"),
    Implementation("plain loop, our codec", "tests.benchmarks.plain_loop_our_codec", "commit"),
    Implementation("quix streams, exactly once", f"{_PEERS}.quix_streams", "commit", peer="quix", mode="exactly-once"),
    Implementation(
        "quix streams, at least once", f"{_PEERS}.quix_streams", "status", peer="quix", mode="at-least-once"
    ),
    Implementation("bytewax", f"{_PEERS}.bytewax_flow", "status", peer="bytewax"),
    Implementation("redis, pipelined", f"{_PEERS}.redis_setnx", "status", peer="redis", mode="pipelined"),
    Implementation("redis, one at a time", f"{_PEERS}.redis_setnx", "status", 0.1, peer="redis", mode="one"),
    Implementation("faust tutorial", "tests.benchmarks.faust_tutorial", "status", 0.1, waits=False),
)


def command_of(one: Implementation, options: Mapping[str, Any], settings: Settings) -> list[str]:
    """How its process is started. Raises UnavailableError where it cannot be."""
    if not one.peer:
        return [sys.executable, "-m", one.module, json.dumps(options)]
    assert settings.bootstrap is not None, "the benchmark has a broker"
    names = TopicNames.of(settings)
    given = Given(
        bootstrap=settings.bootstrap,
        group=settings.app_id,
        partitions=settings.partitions,
        directory=str(settings.data_dir),
        notifications=names.topic("notifications"),
        outbox=names.topic("outbox"),
        statuses=names.topic("statuses"),
        mode=one.mode,
    )
    if one.peer == "kafka streams":
        arguments = [given.bootstrap, given.group, given.directory, given.notifications, given.outbox, given.statuses]
        return [*kafka_streams_command(), *arguments, given.mode, str(SCHEMAS)]
    return [sys.executable, "-m", one.module, json.dumps(asdict(given))]


def environment_of(one: Implementation) -> dict[str, str]:
    """What its process needs on top of our environment. Raises UnavailableError where it cannot be had."""
    if one.peer == "redis":
        redis_server()
    if one.peer == "kafka streams":
        kafka_streams_command()
    if one.interpreted:
        return {"PYTHONPATH": str(ROOT)}
    return python_path(one.peer) if one.peer in ("quix", "bytewax", "redis") else {}
