"""One simulated world: broker, group, providers and workers under one seed, and the events and faults of a scenario."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import aiokafka
import rocksdict

import streams.app
import streams.lane.transaction
from connectors.outcome import Device, ProviderName
from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from schemas.records import FINAL_STATES
from streams.settings import Settings
from streams.stages.delivery_rows import DEVICES_PREFIX, write_devices
from streams.topics import TopicNames
from streams.types_file import NotificationTypes
from tests.simulation.scenario import Event, Fault, Scenario, Telling
from tests.simulation.simulated_broker import SimulatedBroker
from tests.simulation.simulated_clients import SimulatedConsumer, SimulatedProducer
from tests.simulation.simulated_group import SimulatedGroup
from tests.simulation.simulated_loop import SimulatedLoop
from tests.simulation.simulated_providers import SimulatedProvider
from tests.simulation.simulated_rocksdb import MemoryBatch, MemoryRocksdb
from tests.simulation.simulated_worker import SimulatedApp, SimulatedProcess, SimulatedWorker

END_SECONDS_MAX = 3 * 3600.0  # after the last event and the last fault, everything has ended by then
REST_SECONDS = 26 * 3600.0  # then nothing is remembered any more
LOOK_SECONDS = 60.0


class World:
    """Make it inside `simulated`. `trace` gets a line for everything that happens, None: nobody listens."""

    def __init__(self, scenario: Scenario, directory: Path, trace: list[str] | None) -> None:
        self.scenario = scenario
        self.directory = directory
        self.trace = trace
        self.loop = SimulatedLoop(Random(f"turns {scenario.seed}"))
        self.chance = Random(f"world {scenario.seed}")
        self.codec = Codec()
        self.types = NotificationTypes.parse(scenario.types(), "simulation")
        self.settings = Settings(bootstrap="127.0.0.1:1", partitions=scenario.partitions, data_dir=directory)
        self.topics = TopicNames.of(self.settings)
        self.broker = SimulatedBroker(self.loop, lambda topic: topic.endswith("-changelog"), self.say)
        self.group = SimulatedGroup(
            self.loop,
            self.chance,
            scenario.partitions,
            self.settings.session_timeout_seconds,
            self.settings.heartbeat_seconds,
            6 * self.settings.session_timeout_seconds,
        )
        self.providers = {
            name: SimulatedProvider(name, self.loop, self.chance, self.broker.now_ms, self.say) for name in ProviderName
        }
        self.workers = [SimulatedWorker(self, f"w{number}") for number in range(scenario.workers)]
        MemoryRocksdb.disks = {f"{worker.settings.data_dir}/": worker.disk for worker in self.workers}
        self.produced: set[tuple[int, int]] = set()
        self.to_be_told: dict[str, set[str]] = {}
        self.times: dict[tuple[bytes, str], tuple[int | None, int | None]] = {}
        self._ended: set[tuple[int, int]] = set()
        self._statuses_read = dict.fromkeys(range(scenario.partitions), 0)
        self._faults_on = True
        self._armed: list[Fault] = []
        self._chunks_to_lose = 0

    def say(self, who: str, what: str) -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.loop.time():12.4f} {who:>8} {what}")

    # --- the course of things

    def run(self) -> None:
        """Play the scenario to its end. Raises StuckError."""
        self._register_users()
        outside = self.loop.outside.context
        for event in self.scenario.events:
            self.loop.call_at(event.at, self._produce, event, context=outside)
        for telling in self.scenario.tellings:
            self.loop.call_at(telling.at, self._tell, telling, context=outside)
            for at, action in telling.orders:
                self.loop.call_at(at, self._order, telling.broadcast_id, action, context=outside)
        for fault in self.scenario.faults:
            self.loop.call_at(max(0.0, fault.at), self._strike, fault, context=outside)
        for worker in self.workers:
            worker.clock_off_ms = self.chance.randint(-1_000, 1_000)
            worker.start_later(self.chance.random())
        last = max([self.scenario.hours * 3600, *(event.at for event in self.scenario.events)])
        self.loop.call_at(last, self._heal, context=outside)
        ended = self.loop.create_future()
        self.loop.call_at(last + LOOK_SECONDS, self._look, last + END_SECONDS_MAX, ended, context=outside)
        self.loop.run_until_complete(ended)

    def _look(self, until: float, ended: asyncio.Future[None]) -> None:
        if self.loop.time() < until and not (self.produced <= self.ended_events() and self._all_told()):
            self.loop.call_later(LOOK_SECONDS, self._look, until, ended)
            return
        self.say("world", "everything has ended, and rests")
        self.loop.call_later(REST_SECONDS, ended.set_result, None)

    def ended_events(self) -> set[tuple[int, int]]:
        """The events that have a final status."""
        for partition, start in self._statuses_read.items():
            chunk = self.broker.fetch((self.topics.statuses, partition), start, 1_000_000)
            if chunk is None:
                continue
            self._statuses_read[partition] = chunk.end
            for record in chunk.records:
                status = self.codec.decode(record.value, ("Status",)).record
                if status["state"] in FINAL_STATES and status["origin_partition"] >= 0:
                    self._ended.add((status["origin_partition"], status["origin_offset"]))
        return self._ended

    def _all_told(self) -> bool:
        """Whether there are totals of every broadcast."""
        return len(self.totals()) >= len(self.scenario.tellings)

    def totals(self) -> list[dict[str, Any]]:
        """The totals of all broadcasts; one of each is as it must be."""
        records = self.broker.records(self.topics.broadcast_reports)
        reports = [self.codec.decode(record.value, ("BroadcastReport",)).record for _, record in records]
        return [report for report in reports if report["partition"] is None]

    def _heal(self) -> None:
        self.say("world", "from here on all is well")
        self._faults_on = False
        self._chunks_to_lose = 0
        for provider in self.providers.values():
            provider.mood = "well"
        for worker in self.workers:
            worker.clock_off_ms = max(-1_000, min(1_000, worker.clock_off_ms))
            worker.away = False
            if worker.process is not None and worker.process.paused:
                self._resume(worker.process)
            worker.start()

    # --- what comes in

    def _register_users(self) -> None:
        for user, providers in self.scenario.devices.items():
            devices = [
                Device(f"d{number}", ProviderName(provider.lower()), f"{user} {number}", "p", "a", number)
                for number, provider in enumerate(providers)
            ]
            if devices:
                place = (self.topics.devices, partition_of(user.encode(), self.scenario.partitions))
                self.broker.append(place, [(user.encode(), write_devices(user, devices), [])], 0)
        for user in {**self.scenario.quiet_minutes, **self.scenario.opted_out}:
            stretches = [self.scenario.quiet_minutes[user]] if user in self.scenario.quiet_minutes else []
            wishes = {
                "user_id": user,
                "quiet_hours": [{"start_minute": start, "end_minute": end} for start, end in stretches],
                "opted_out_types": self.scenario.opted_out.get(user, []),
            }
            place = (self.topics.preferences, partition_of(user.encode(), self.scenario.partitions))
            self.broker.append(place, [(user.encode(), self.codec.encode("Preferences", wishes), [])], 0)

    def _produce(self, event: Event) -> None:
        if self.broker.away_until > self.loop.time():
            self.loop.call_at(self.broker.away_until, self._produce, event)
            return
        now = self.broker.now_ms()
        if event.command:
            self._command(event, now)
            return
        notification: dict[str, Any] = {
            "notification_id": event.notification_id,
            "user_id": event.user,
            "type": event.type,
            "created_at": now - int(event.created_ago * 1000),
            "send_at": None if event.send_in is None else now + int(event.send_in * 1000),
            "expires_at": None if event.expires_in is None else now + int(event.expires_in * 1000),
        }
        key: bytes | None = slot_key(event.user, event.type)
        value: bytes | None = self.codec.encode("Notification", notification)
        assert key is not None and value is not None
        number = (partition_of(key, self.scenario.partitions) + event.astray) % self.scenario.partitions
        if event.poison:
            key, value = [(key, b"\x01\x02"), (key, value[:-3]), (b"x:y", value), (None, value), (key, None)][
                event.poison - 1
            ]
        offset, _ = self.broker.append((self.topics.notifications, number), [(key, value, [])], now)
        self.produced.add((number, offset))
        if not event.poison:
            # An id that comes twice is the first one, whose times count.
            times = (notification["send_at"], notification["expires_at"])
            self.times.setdefault((slot_key(event.user, event.type), event.notification_id), times)
        self.say("producer", f"{event.notification_id} of {event.user}:{event.type} is {number}@{offset}")

    def _tell(self, telling: Telling) -> None:
        """Start a broadcast in all partitions at once; its list is there before."""
        if self.broker.away_until > self.loop.time():
            self.loop.call_at(self.broker.away_until, self._tell, telling)
            return
        name, changelog = telling.broadcast_id, self.topics.changelog("directory")
        rows = [self.broker.rows(changelog, number) for number in range(self.scenario.partitions)]
        known = {key[1:].decode() for part in rows for key in part if key.startswith(DEVICES_PREFIX)}
        self.to_be_told[name] = set(telling.users) or known
        for user in telling.users:
            listed = {"broadcast_id": name, "users": [user]}
            self._write_broadcast(partition_of(user.encode(), self.scenario.partitions), "BroadcastUsers", listed)
        broadcast = {
            "broadcast_id": name,
            "type": telling.type,
            "requested_at": self.broker.now_ms(),
            "requested_by": "simulation",
            "audience": "LIST" if telling.users else "ALL",
            "per_second": telling.per_second,
        }
        for number in range(self.scenario.partitions):
            self._write_broadcast(number, "Broadcast", broadcast)
        self.say("producer", f"tells {telling}")

    def _order(self, broadcast_id: str, action: str) -> None:
        """Pause, resume or cancel a broadcast."""
        if self.broker.away_until > self.loop.time() or broadcast_id not in self.to_be_told:
            self.loop.call_later(LOOK_SECONDS, self._order, broadcast_id, action)
            return
        now = self.broker.now_ms()
        order = {
            "broadcast_id": broadcast_id,
            "action": action,
            "request_id": f"{action} {now}",
            "requested_by": "simulation",
            "requested_at": now,
        }
        for number in range(self.scenario.partitions):
            self._write_broadcast(number, "BroadcastControl", order)
        self.say("caller", f"{action} {broadcast_id}")

    def _write_broadcast(self, number: int, contract: str, record: dict[str, Any]) -> None:
        key, value = record["broadcast_id"].encode(), self.codec.encode(contract, record)
        self.broker.append((self.topics.broadcasts, number), [(key, value, [])], self.broker.now_ms())

    def _command(self, event: Event, now: int) -> None:
        command: dict[str, Any] = {
            "notification_id": event.notification_id,
            "user_id": event.user,
            "type": event.type,
            "request_id": f"{event.command} {event.notification_id} {now}",
            "requested_by": "simulation",
            "requested_at": now,
        }
        name = "Cancel"
        if event.command == "move":
            name, command["due_at"] = "Move", now + int((event.send_in or 0.0) * 1000)
        key = slot_key(event.user, event.type)
        number = (partition_of(key, self.scenario.partitions) + event.astray) % self.scenario.partitions
        self.broker.append((self.topics.scheduled, number), [(key, self.codec.encode(name, command), [])], now)
        self.say("caller", f"{event.command}s {event.notification_id} of {event.user}:{event.type}")

    # --- what goes wrong

    def edge(self, process: SimulatedProcess, name: str) -> None:
        """A fault may strike a process exactly now."""
        if not self._faults_on:
            return
        for fault in self._armed:
            if name.startswith(fault.name):
                self._armed.remove(fault)
                self.say("edge", f"{process.name} {name}: {fault.kind}")
                self._strike_now(fault, process)
                return
        if self.chance.random() < self.scenario.edge_rate:
            kind = self.chance.choice(("kill", "kill", "kill_wipe", "pause", "pause"))
            self.say("edge", f"{process.name} {name}: {kind}")
            self._strike_process(process, kind, self.chance.choice((0.5, 5.0, 25.0, 100.0)) * self.chance.random())

    def loses_a_chunk(self) -> bool:
        """Whether the next chunk gets lost between the consumer and the lane."""
        if self._chunks_to_lose:
            self._chunks_to_lose -= 1
            return True
        return False

    def _strike(self, fault: Fault) -> None:
        if not self._faults_on:
            return
        self.say("fault", str(fault))
        worker = self.workers[fault.whom % len(self.workers)]
        match fault.kind:
            case "mood":
                provider = list(self.providers.values())[fault.whom % len(self.providers)]
                provider.mood, provider.share = fault.name, fault.value
                self.loop.call_later(fault.seconds, setattr, provider, "mood", "well")
            case "broker":
                self.broker.away_until = max(self.broker.away_until, self.loop.time() + fault.seconds)
            case "clock":
                worker.clock_off_ms = int(fault.value)
            case "clock_far" if not fault.name:
                self._set_clock(worker, fault)
            case "lose_chunk":
                self._chunks_to_lose += 1
            case "leave":
                if worker.process is not None:
                    worker.process.leave()
            case _ if fault.name:
                self._armed.append(fault)
            case _ if worker.process is not None:
                self._strike_now(fault, worker.process)

    def _set_clock(self, worker: SimulatedWorker, fault: Fault) -> None:
        before, worker.clock_off_ms = worker.clock_off_ms, int(fault.value)
        context = self.loop.outside.context
        self.loop.call_later(fault.seconds, setattr, worker, "clock_off_ms", before, context=context)

    def _strike_now(self, fault: Fault, process: SimulatedProcess) -> None:
        if fault.kind == "clock_far":
            self._set_clock(process.worker, fault)
            return
        struck = [process]
        if fault.kind == "all_killed":
            struck = [worker.process for worker in self.workers if worker.process is not None]
        for each in struck:
            self._strike_process(each, fault.kind, fault.seconds * (1 + 0.2 * self.chance.random()))

    def _strike_process(self, process: SimulatedProcess, kind: str, seconds: float) -> None:
        if process.dead or process.paused:
            return
        self.group.silent(process)
        if kind == "pause":
            self.loop.pause(process)
            self.loop.call_later(seconds, self._resume, process, context=self.loop.outside.context)
            return
        self._kill(process)
        process.worker.process = None
        if kind == "kill_wipe":
            process.worker.disk.clear()
        process.worker.start_later(seconds)

    def _kill(self, process: SimulatedProcess) -> None:
        self.loop.kill(process)
        process.forget()

    def _resume(self, process: SimulatedProcess) -> None:
        if process.paused and not process.dead:
            self.say(process.name, "goes on")
            self.group.heard(process)
            self.loop.resume(process)

    def ended(self, process: SimulatedProcess) -> None:
        """A process has failed and let go of everything: it leaves the group, and its worker starts anew."""
        self.group.leave(process)
        self._kill(process)
        process.worker.process = None
        process.worker.start_anew(process)

    def close(self) -> None:
        """Let the world end. What was under way is collected here, with nobody left to listen."""
        for worker in self.workers:
            if worker.process is not None:
                self._kill(worker.process)
        self.loop.close()
        vars(self).clear()


@contextmanager
def simulated(scenario: Scenario, directory: Path, trace: list[str] | None = None) -> Iterator[World]:
    """A world with its own time, its own Kafka and its own disks in place of the real ones."""
    with (
        mock.patch.object(streams.app, "LaneApp", SimulatedApp),
        mock.patch.object(streams.lane.transaction, "AIOKafkaProducer", SimulatedProducer),
        mock.patch.object(aiokafka, "AIOKafkaConsumer", SimulatedConsumer),
        mock.patch.object(rocksdict, "Rdict", MemoryRocksdb),
        mock.patch.object(rocksdict, "WriteBatch", MemoryBatch),
        # The coroutines of killed processes end when they are collected, and wait for nobody any more.
        mock.patch.object(sys, "unraisablehook", lambda unraisable: None),
    ):
        world = World(scenario, directory, trace)
        with (
            warnings.catch_warnings(),
            _nothing_collected_meanwhile(),
            mock.patch.object(time, "monotonic", world.loop.time),
        ):
            warnings.simplefilter("ignore", RuntimeWarning)  # of coroutines that a killed process never awaited
            try:
                yield world
            finally:
                world.close()


@contextmanager
def _nothing_collected_meanwhile() -> Iterator[None]:
    """When the collector runs depends on what ran before in this interpreter, and it ends coroutines."""
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()  # of this world only: what was there before is left alone until the next line
        gc.unfreeze()
        gc.enable()
