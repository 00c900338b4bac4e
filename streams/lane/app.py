"""The Faust app of a worker, with the lane in place of what Faust leaves open."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import faust
from aiohttp.web_urldispatcher import DynamicResource
from faust.web.drivers.aiohttp import Web as AiohttpWeb

from streams.metrics import Metrics

from .chunk import Chunk
from .chunk_schema import ChunkSchema
from .clock import wall_ms
from .consumer import LaneConsumer, LaneTransport
from .lanes import LaneOptions, Lanes, Stage
from .letters import NO_LETTER_RULE, LetterRule, LettersCollector
from .metrics import LanesCollector
from .recovery import ChangelogReplay, LaneTableManager
from .table import LaneTable, StoreBudget

logger = logging.getLogger(__name__)


# A part of a path may be anything but a slash. aiohttp leaves out braces, and ids of users and notifications have them:
# they would be answered with a 404 by the router, as if there were no such user.
DynamicResource.GOOD = r"[^/]+"


class LaneWeb(AiohttpWeb):
    """Faust's web server without the endpoints that serve table data and routing to anyone."""

    default_blueprints: ClassVar[Any] = ()
    production_blueprints: ClassVar[Any] = ()
    debug_blueprints: ClassVar[Any] = ()


@dataclass(frozen=True, slots=True)
class LaneAppOptions:
    """What the app is built from. `faust` holds further settings of Faust, by its own names."""

    app_id: str
    bootstrap: str
    partitions: int
    replication_factor: int
    data_dir: str
    client_options: Mapping[str, Any] = field(default_factory=dict)
    session_timeout_seconds: float = 10.0
    heartbeat_seconds: float = 2.0
    transaction_timeout_seconds: float = 30.0
    drain_seconds_max: float = 10.0
    clock_skew_seconds_max: float = 5.0
    wall_ms: Callable[[], int] = wall_ms
    letters: LetterRule = NO_LETTER_RULE
    faust: Mapping[str, Any] = field(default_factory=dict)


class LaneApp(faust.App):
    """A Faust app whose agents hand chunks to lanes, and whose offsets are committed by the lanes' transactions."""

    def __init__(self, options: LaneAppOptions) -> None:
        self.options = options
        self.client_options = {"bootstrap_servers": options.bootstrap, **options.client_options}
        self.budget = StoreBudget()
        self.metrics = Metrics()
        self.replay: ChangelogReplay | None = None
        self.failure: BaseException | None = None
        settings: dict[str, Any] = {
            "broker": [f"kafka://{server}" for server in options.bootstrap.split(",")],
            "datadir": options.data_dir,
            "store": "rocksdb://",
            "topic_partitions": options.partitions,
            "topic_replication_factor": options.replication_factor,
            "broker_session_timeout": options.session_timeout_seconds,
            "broker_heartbeat_interval": options.heartbeat_seconds,
            "broker_rebalance_timeout": 6 * options.session_timeout_seconds,
            "broker_request_timeout": 40.0,
            "stream_wait_empty": False,
            "stream_recovery_delay": 0.0,
            "TableManager": LaneTableManager,
            "worker_redirect_stdouts": False,
        }
        super().__init__(options.app_id, **{**settings, **options.faust})
        self.lanes = Lanes(
            LaneOptions(
                group=options.app_id,
                producer_options=self.client_options,
                transaction_timeout_ms=int(options.transaction_timeout_seconds * 1000),
                wall_ms=options.wall_ms,
                drain_seconds_max=options.drain_seconds_max,
                # From the broker's clock half of it: then two workers differ by all of it at the most.
                clock_off_ms_max=int(options.clock_skew_seconds_max * 500),
                letters=options.letters,
            ),
            hold=lambda tp: self._lane_consumer().hold(tp),
            release=lambda tp: self._lane_consumer().release(tp),
            on_failure=self.fail,
        )
        self.metrics.add(LettersCollector(self.lanes.letters))
        self.metrics.add(LanesCollector(self))

    def _lane_consumer(self) -> LaneConsumer:
        return cast(LaneConsumer, self.consumer)

    def lane_table(self, table_type: type[LaneTable], name: str) -> LaneTable:
        """Create a table whose rows are written after the commit."""
        table = table_type(self, budget=self.budget, name=name, partitions=self.options.partitions)
        self.tables.add(table)
        return table

    def install(self, stage: Stage) -> None:
        """Install a stage: one agent that receives the chunks of all its topics and hands them to the lanes."""
        self.lanes.add(stage)
        lanes = self.lanes

        async def consume(stream: AsyncIterable[Any]) -> None:
            async for event in cast(Any, stream).noack().events():
                await lanes.offer(cast(Chunk, event.value))
                event.ack()

        self.agent(self.topic(*stage.topics, schema=ChunkSchema()), name=stage.name)(consume)

    async def fail(self, error: BaseException) -> None:
        """End the worker: a partition can't go on without recovery, and recovery begins with a fresh start."""
        if self.failure is None:
            self.failure = error
            await self.crash(error)

    async def _consumer_wait_empty(self, consumer: Any, logger: Any) -> None:
        # Faust calls this when partitions are revoked and when the app stops, after the flow has stopped.
        await self.lanes.close()

    def _new_web(self) -> LaneWeb:
        return LaneWeb(self)

    def _new_transport(self) -> LaneTransport:
        return LaneTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> LaneTransport:
        return LaneTransport(self.conf.broker_producer, self)


__all__ = ["LaneApp", "LaneAppOptions"]
