"""A worker in the simulated world: the real app with its lanes, replay and stages, and a process that can end anywhere.

Faust's own part, the group and the fetching, is played by `SimulatedProcess`: fence, replay, seek, open, fetch; on a
rebalance drain and join anew; on a failure end and start anew in place, as `streams.worker` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from aiokafka.errors import KafkaError
from faust.types import TP

from streams.app import AppParts, create_app
from streams.lane.app import LaneApp
from streams.lane.recovery import ChangelogReplay
from streams.lane.table import LaneTable
from streams.lane.transaction import StepFailedError
from streams.lane.watchdog import LaneWatch
from tests.simulation.simulated_broker import Place
from tests.simulation.simulated_clients import Link
from tests.simulation.simulated_loop import ACTOR, Actor, StuckError
from tests.simulation.simulated_providers import simulated_connector
from tests.simulation.simulated_rocksdb import Disk

if TYPE_CHECKING:
    from tests.simulation.world import World

STOP_SECONDS_MAX = 30.0
BACKOFF_SECONDS_MAX = 15.0
GOOD_RUN_SECONDS = 60.0
LIVES_MAX = 400  # of one worker in one world, far more than its faults explain
WATCH_SECONDS = 240.0  # twice as long as the watchdog needs to notice


class FetchSide:
    """What the lanes and the watchdog ask of Faust's consumer."""

    def __init__(self, process: SimulatedProcess) -> None:
        self._process = process
        self.held: set[TP] = set()

    def hold(self, tp: TP) -> None:
        """Read no more of it."""
        self.held.add(tp)

    def release(self, tp: TP) -> None:
        """Go on with it."""
        self.held.discard(tp)
        self._process.ready.set()

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """The ends of the partitions."""
        broker = self._process.world.broker
        return await self._process.link.call(
            "ends", lambda: {tp: broker.end((tp.topic, tp.partition)) for tp in partitions}
        )


class SimulatedApp(LaneApp):
    """The app of the process in whose context it is made. It ends the process where the real one ends it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._process = cast(SimulatedProcess, ACTOR.get())
        super().__init__(*args, **kwargs)

    @property
    def consumer(self) -> Any:
        """The process's own."""
        return self._process.fetch_side

    @consumer.setter
    def consumer(self, value: object) -> None:
        """Faust's is not wanted."""

    async def fail(self, error: BaseException) -> None:
        """As the real one."""
        if self.failure is None:
            self.failure = error
            self._process.failed(error)


class SimulatedProcess(Actor):
    """One life of a worker."""

    def __init__(self, worker: SimulatedWorker, number: int) -> None:
        super().__init__(f"{worker.name}.{number}")
        self.worker = worker
        self.world = worker.world
        self.link = Link(self.world.loop, self.world.broker, self.world.chance, self.edge)
        self.fetch_side = FetchSide(self)
        self.ready = asyncio.Event()
        self._change = asyncio.Event()
        self._failure: BaseException | None = None
        self._leaving = False
        self._places: list[Place] = []
        self._woken = False
        self.started_at = self.world.loop.time()

    @property
    def actor(self) -> Actor:
        """Itself."""
        return self

    def wall_ms(self) -> int:
        """The clock of the machine."""
        return self.world.broker.now_ms() + self.worker.clock_off_ms

    def edge(self, name: str) -> None:
        """Something is about to happen, or has just happened: a fault may strike exactly here."""
        if not self.dead and not self.paused:
            self.world.edge(self, name)

    def rebalance(self) -> None:
        """A heartbeat says: join anew."""
        self._change.set()

    def failed(self, error: BaseException) -> None:
        """The app can't go on."""
        self.world.say(self.name, f"failed: {error!r}")
        self._failure = self.worker.last_failure = error
        self._change.set()

    def leave(self) -> None:
        """Told to stop, as SIGTERM tells it."""
        self._leaving = True
        self.world.loop.call_soon(self._change.set, context=self.context)

    async def run(self) -> None:
        """Work until it fails or is told to stop; then let go of everything, and be started anew."""
        world = self.world
        connectors = {name: simulated_connector(provider, self.edge) for name, provider in world.providers.items()}
        app = create_app(
            AppParts(
                settings=self.worker.settings,
                types=world.types,
                connectors=connectors,
                codec=world.codec,
                wall_ms=self.wall_ms,
                chance=world.chance.random,
                faust={"web_enabled": False},
            )
        )
        tables = [table for stage in app.lanes.stages.values() for table in stage.tables]
        while self._failure is None and not self._leaving:
            self._change.clear()
            answer: asyncio.Future[list[int]] = world.loop.create_future()
            world.group.join(self, answer)
            partitions = await answer
            world.say(self.name, f"assigned {partitions}")
            fetching: asyncio.Task[None] | None = None
            try:
                positions = await self._open(app, tables, partitions)
                fetching = asyncio.create_task(self._fetch(app, positions))
            except (KafkaError, StepFailedError) as error:
                self.failed(error)
            await self._change.wait()
            self._unsubscribe()
            if fetching is not None:
                fetching.cancel()
            if self._failure is None:
                await app.lanes.close()
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await app.lanes.close()
        except TimeoutError:
            pass
        world.ended(self)

    async def _open(self, app: LaneApp, tables: list[LaneTable], partitions: list[int]) -> dict[Place, int]:
        sources = [
            TP(topic, number) for stage in app.lanes.stages.values() for topic in stage.topics for number in partitions
        ]
        await app.lanes.fence(sources)
        app.replay = ChangelogReplay(app.client_options)
        await app.replay.run({TP(table.changelog, number): table for table in tables for number in partitions})
        broker = self.world.broker
        offsets = await self.link.call(
            "offsets of group", lambda: {tp: broker.committed.get((tp.topic, tp.partition), 0) for tp in sources}
        )
        ends = await self.fetch_side.highwaters(*sources)
        self.fetch_side.held.clear()
        await app.lanes.open(offsets, ends)
        return {(tp.topic, tp.partition): offset for tp, offset in offsets.items()}

    # --- reading

    async def _fetch(self, app: LaneApp, positions: dict[Place, int]) -> None:
        world, broker = self.world, self.world.broker
        self._places = list(positions)
        for place in self._places:
            broker.readers[place][self._wake] = None
        while True:
            self.ready.clear()
            self._woken = False
            idle = True
            if broker.away_until <= world.loop.time():
                for place in self._places:
                    if TP(*place) in self.fetch_side.held:
                        continue
                    chunk = broker.fetch(place, positions[place], world.chance.choice((1, 3, 100, 1_000)))
                    if chunk is None:
                        continue
                    idle = False
                    positions[place] = chunk.end
                    if world.loses_a_chunk():
                        world.say(self.name, f"lost {chunk.topic}-{chunk.partition} {chunk.start}-{chunk.end}")
                        self.world.loop.start(self, self._watch(app))
                        continue
                    await app.lanes.offer(chunk)
            else:
                self._wake_at(broker.away_until)
            if idle:
                await self.ready.wait()
                await asyncio.sleep(self.link.latency())

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self.world.loop.call_soon(self.ready.set, context=self.context)

    def _wake_at(self, when: float) -> None:
        self.world.loop.call_at(when + 0.01, self.ready.set, context=self.context)

    def _unsubscribe(self) -> None:
        for place in self._places:
            self.world.broker.readers[place].pop(self._wake, None)
        self._places = []

    async def _watch(self, app: LaneApp) -> None:
        """The watchdog, for as long as there is something to notice: it looks every few seconds."""
        try:
            async with asyncio.timeout(WATCH_SECONDS):
                await LaneWatch(app).run()
        except TimeoutError:
            return

    def forget(self) -> None:
        """It is dead: nobody tells it anything any more."""
        self._unsubscribe()


class SimulatedWorker:
    """A machine with a disk and a clock, and the process on it."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.settings = world.settings.model_copy(update={"data_dir": world.directory / name})
        self.disk: Disk = {}
        self.clock_off_ms = 0
        self.process: SimulatedProcess | None = None
        self.away = False
        self._lives = 0
        self.last_failure: BaseException | None = None
        self._failures = 0

    def start(self) -> None:
        """Start a process, unless one runs or none is wanted."""
        if self.process is not None or self.away:
            return
        self._lives += 1
        if self._lives > LIVES_MAX:
            raise StuckError(f"{self.name} starts anew for ever: {self.last_failure!r}")
        self.process = SimulatedProcess(self, self._lives)
        self.world.say(self.process.name, "started")
        self.world.loop.start(self.process, self.process.run())

    def start_later(self, seconds: float) -> None:
        """Start one after a while."""
        self.world.loop.call_later(seconds, self.start, context=self.world.loop.outside.context)

    def start_anew(self, process: SimulatedProcess) -> None:
        """After a failure: at once, then after pauses that grow with each failure in a row."""
        ran = self.world.loop.time() - process.started_at
        self._failures = 0 if ran > GOOD_RUN_SECONDS else self._failures + 1
        self.start_later(min(BACKOFF_SECONDS_MAX, 0.5 * 2**self._failures))
