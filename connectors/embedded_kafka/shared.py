"""A broker in the background that several commands and terminals use, known by a name in a state file.

A process id alone is never trusted: it may belong to another program by now. The state file holds the start time of
the process too, and only a process with both is ours.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass

import psutil

from connectors.embedded_kafka.broker import STOP_SECONDS_MAX, EmbeddedKafka
from connectors.embedded_kafka.errors import EmbeddedKafkaError
from connectors.embedded_kafka.file_lock import exclusive
from connectors.embedded_kafka.jars import cache_directory

LOCK_WAIT_SECONDS = 120.0  # Another command may be starting or stopping the same broker.


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A background broker as its state file describes it. `started_at`: seconds since the epoch, from the system."""

    pid: int
    started_at: float
    bootstrap: str
    log_file: str


class SharedKafka:
    """The background broker of one name. Its data is kept from one start to the next, until `stop(erase=True)`."""

    def __init__(self, name: str = "default") -> None:
        if not name.replace("-", "").replace("_", "").isalnum():
            raise EmbeddedKafkaError(f"the name of a broker must be letters, digits, - and _, is {name!r}")
        self._directory = cache_directory() / "brokers" / name
        self._state_file = self._directory / "running.json"

    def status(self) -> RunningBroker | None:
        """The broker, if it runs."""
        try:
            broker = RunningBroker(**json.loads(self._state_file.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return broker if _process(broker) is not None else None

    def start(self, *, heap_megabytes: int = 512, partitions: int = 12, port: int | None = None) -> RunningBroker:
        """The running broker, started where none runs. Raises EmbeddedKafkaError."""
        with self._exclusive():
            if running := self.status():
                return running
            kafka = EmbeddedKafka(
                self._directory / "kafka",
                heap_megabytes=heap_megabytes,
                partitions=partitions,
                port=port,
                outlive_parent=True,
            )
            kafka.start()
            assert kafka.pid is not None  # it has just answered
            broker = RunningBroker(
                kafka.pid, psutil.Process(kafka.pid).create_time(), kafka.bootstrap, str(kafka.log_file)
            )
            self._state_file.write_text(json.dumps(asdict(broker)), encoding="utf-8")
            return broker

    def stop(self, *, erase: bool = False) -> bool:
        """End it, cleanly and after 20 s by force; False: none ran. `erase` removes its data too."""
        with self._exclusive():
            running = self.status()
            process = _process(running) if running else None
            if process is not None:
                process.terminate()
                try:
                    process.wait(STOP_SECONDS_MAX)
                except psutil.TimeoutExpired:
                    process.kill()
                    process.wait(STOP_SECONDS_MAX)
            self._state_file.unlink(missing_ok=True)
            if erase:
                shutil.rmtree(self._directory / "kafka", ignore_errors=True)
            return process is not None

    def _exclusive(self) -> contextlib.AbstractContextManager[None]:
        self._directory.mkdir(parents=True, exist_ok=True)
        return exclusive(self._directory / ".lock", LOCK_WAIT_SECONDS)


def _process(broker: RunningBroker) -> psutil.Process | None:
    try:
        process = psutil.Process(broker.pid)
        # The system counts in ticks of 10 ms; a process id comes round again in seconds at the earliest.
        if abs(process.create_time() - broker.started_at) > 0.5 or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.Error:
        return None
    return process
