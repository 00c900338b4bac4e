"""The smallest stage that does everything a stage can: each record becomes an output, a row and an offset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from streams.lane.app import LaneApp, LaneAppOptions
from streams.lane.chunk import Chunk, Record
from streams.lane.lane import StepLane
from streams.lane.lanes import Stage
from streams.lane.step import Step
from streams.lane.table import LaneTable
from tests.integration.kafka_records import WAIT_SECONDS_MAX, create_topics

PARTITIONS = 2


class CopyDecider:
    """`look` sees each record, and may raise."""

    def __init__(self, partition: int, table: LaneTable, output: str, look: Callable[[Record], None]) -> None:
        self._partition, self._table, self._output, self._look = partition, table, output, look

    def step(self, chunks: Sequence[Chunk], now_ms: int) -> Step:
        """Copy the records."""
        step = Step()
        for chunk in chunks:
            for record in chunk.records:
                self._look(record)
                assert record.key is not None and record.value is not None
                step.emit(self._output, self._partition, record.key, record.value)
                step.changes.setdefault(self._table.name, {})[record.key] = record.value
        return step

    def next_at_ms(self) -> int | None:
        """Nothing is due by itself."""
        return None

    def latest_ms(self) -> int:
        """The table knows no time."""
        return 0


class CopyingApp:
    """An app with the one stage `copy`, from `<prefix>in` to `<prefix>out` with the table `rows`."""

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        directory: Path,
        look: Callable[[Record], None] = lambda record: None,
        faust: Mapping[str, Any] | None = None,
    ) -> None:
        self.bootstrap, self.group = bootstrap, f"{prefix}app"
        self.input, self.output, self.changelog = f"{prefix}in", f"{prefix}out", f"{prefix}app-rows-changelog"
        self.app = LaneApp(
            LaneAppOptions(
                app_id=self.group,
                bootstrap=bootstrap,
                partitions=PARTITIONS,
                replication_factor=1,
                data_dir=str(directory),
                session_timeout_seconds=6.0,
                faust=faust or {"web_enabled": False},
            )
        )
        self.table = self.app.lane_table(LaneTable, "rows")
        self.app.install(
            Stage(
                "copy",
                (self.input,),
                (self.table,),
                lambda context: StepLane(context, CopyDecider(context.partition, self.table, self.output, look)),
            )
        )

    async def create_topics(self) -> None:
        """The input, the output and the changelog."""
        await create_topics(self.bootstrap, {self.input: PARTITIONS, self.output: PARTITIONS})
        await create_topics(self.bootstrap, {self.changelog: PARTITIONS}, {"cleanup.policy": "compact"})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LaneApp]:
        """The app, with its lanes open."""
        self.app.finalize()
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await self.app.start()
                await self.app.lanes.opened.wait()
            yield self.app
        finally:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await self.app.stop()

    def check(self) -> None:
        """Raise what the app has failed with."""
        if self.app.failure is not None:
            raise self.app.failure

    async def until_failed(self) -> BaseException:
        """Wait until the app has failed, and return with what."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await self.app.wait_until_stopped()
        assert self.app.failure is not None
        return self.app.failure
