"""Recovery: fence, replay, seek, start, in this order.

Fence first: as long as the old owner can commit, the changelog has no end that one could replay up to, and an open
transaction of his would hold back every read-committed reader. Then the changelogs are replayed with a consumer of our
own: through Faust's it costs an event for each record, and its end is never reached when the last record is a
transaction marker. Then the streams are sought, and only then does anything flow.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, cast

from aiokafka.structs import TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from .changelog import ChangelogReader
from .open_transactions import until_ended
from .standby import StandbyFollower
from .table import LaneTable

if TYPE_CHECKING:
    from .app import LaneApp
    from .consumer import LaneConsumer

logger = logging.getLogger(__name__)

REPLAY_SILENCE_SECONDS_MAX = 60.0
PROGRESS_SECONDS = 5.0
PARK_SECONDS_MAX = 30.0


class ReplayStalledError(Exception):
    """The changelog has more, but nothing arrives."""


class ChangelogReplay:
    """Brings local tables up to the end of their changelogs. `replayed`, `remaining`: records, and offsets to go."""

    def __init__(self, consumer_options: Mapping[str, Any]) -> None:
        self._consumer_options = dict(consumer_options)
        self.replayed = 0
        self.remaining = 0
        self.seconds = 0.0

    async def run(self, tables: Mapping[TP, LaneTable]) -> None:
        """Replay every table partition from its persisted offset up to the end that the broker gives now."""
        if not tables:
            return
        started_at = time.monotonic()
        reader = ChangelogReader(self._consumer_options, tables)
        try:
            await reader.start()
            await self._replay(reader)
        finally:
            await reader.stop()
        self.seconds = time.monotonic() - started_at
        logger.info("recovery: %s", self.describe())

    def describe(self) -> str:
        """Return how it goes, or how it went, for people."""
        if self.remaining:
            return f"{self.replayed:,} changelog records applied, {self.remaining:,} to go"
        return f"{self.replayed:,} changelog records applied in {self.seconds:.1f} s"

    async def _replay(self, reader: ChangelogReader) -> None:
        ends = await reader.ends()
        behind = reader.behind(ends)
        reader.pause(set(ends) - set(behind))
        loop = asyncio.get_running_loop()
        heard_at = reported_at = loop.time()
        while behind:
            if await reader.apply_next(behind, 500):
                heard_at = loop.time()
            done, behind = behind, reader.behind(ends)
            reader.pause(set(done) - set(behind))
            self.replayed, self.remaining = reader.read, sum(behind.values())
            if loop.time() - heard_at > REPLAY_SILENCE_SECONDS_MAX:
                raise ReplayStalledError(f"nothing read for {REPLAY_SILENCE_SECONDS_MAX} s, {self.remaining} to go")
            if loop.time() - reported_at > PROGRESS_SECONDS:
                reported_at = loop.time()
                logger.warning("recovery: %s", self.describe())


class FencedRecovery(Recovery):
    """Faust's recovery with the order above, and standbys that Faust assigns and we follow."""

    app: LaneApp

    def __init__(self, app: LaneApp, tables: Any, **kwargs: Any) -> None:
        self.follower = StandbyFollower(app.client_options)
        self._standbys: dict[TP, LaneTable] = {}
        super().__init__(app, tables, **kwargs)

    def add_standby(self, table: Any, tp: TP) -> None:
        """Note a standby. Faust is not told: it would read the changelog through its own consumer."""
        self._standbys[tp] = table

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """From here on partitions change their owners: what was followed may become ours."""
        self.follower.halt()
        super().on_partitions_revoked(revoked)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Stop following, then note what is assigned."""
        await self.follower.stop()
        self._standbys.clear()
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    async def on_stop(self) -> None:
        """Stop following."""
        await self.follower.stop()
        await super().on_stop()

    async def _wait(self, coro: Any, timeout: Any = None) -> None:
        # Faust goes on as if all were well when its time-out strikes; a rebalance or a stop ends the wait as before.
        await super()._wait(coro)

    async def _build_highwaters(self, consumer: Any, tps: set[TP], destination: Counter[TP], title: str) -> None:
        if title == "active":
            await self.follower.stop()
            await self.app.lanes.fence(consumer.assignment())
            await until_ended(self.app.client_options, [TopicPartition(*tp) for tp in tps])
            replay = self.app.replay = ChangelogReplay(self.app.client_options)
            await replay.run({tp: cast(LaneTable, self.tp_to_table[tp]) for tp in tps})
        await super()._build_highwaters(consumer, tps, destination, title)

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Counter[TP], title: str) -> None:
        for (
            tp
        ) in tps:  # of standbys there are none here; the replay is complete: Faust must find nothing left to recover
            destination[tp] = self.active_highwaters[tp]

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Stop the flow and wait until the reader holds nothing, then let Faust seek and start."""
        consumer = cast("LaneConsumer", self.app.consumer)
        consumer.stop_flow()
        self.app.flow_control.suspend()
        if self.app._fetcher.started:
            parked: Awaitable[Any] = asyncio.wait_for(consumer.parked.wait(), PARK_SECONDS_MAX)
            await self._wait(parked)
        await super().on_recovery_completed(generation_id)
        if self.completed.is_set() and not consumer.assignment():
            # With nothing to seek Faust opens nothing; a worker that is one too many is ready too, for the next change.
            await self.app.lanes.open({}, {})
        if self.completed.is_set() and generation_id == self.app.consumer_generation_id:
            await self.follower.stop()
            # Faust's assignor gives a worker standbys of what it has as active: only one of the two may write.
            self.follower.start({tp: table for tp, table in self._standbys.items() if tp not in self.active_tps})


class LaneTableManager(TableManager):
    """Faust's table manager with our recovery."""

    @property
    def recovery(self) -> FencedRecovery:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = FencedRecovery(cast("LaneApp", self.app), self, beacon=self.beacon, loop=self.loop)
        return cast(FencedRecovery, self._recovery)

    async def on_start(self) -> None:
        """Start at once: Faust waits a second for tables that may still be added, and all of ours are there."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()
