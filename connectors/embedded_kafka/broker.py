"""EmbeddedKafka: start, stop, kill and restart one real broker."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self

from connectors.embedded_kafka.errors import EmbeddedKafkaError
from connectors.embedded_kafka.jars import kafka_jars
from connectors.embedded_kafka.java import run_java, spawn_java
from connectors.embedded_kafka.membership import Membership, new_cluster_id
from connectors.embedded_kafka.metadata_probe import ready_cluster_id
from connectors.embedded_kafka.ports import free_ports, is_free
from connectors.embedded_kafka.security import PROTOCOLS, Protocol, Security

START_SECONDS_MAX = 90.0  # 2 to 5 s on an idle machine; a busy one with two cores may need ten times that.
STOP_SECONDS_MAX = 20.0  # A clean stop takes half a second; past this it hangs.
PORT_TRIES = 5
LOG_LINES_SHOWN = 15
_QUIET = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "--sun-misc-unsafe-memory-access=allow",
)


class EmbeddedKafka:
    """One broker on the loopback interface.

    `directory`: where its data stays; None: a temporary one that `stop` removes. `port`: where it listens; None: a
    free one. `fast_start`: compile with the first tier only, which starts in two thirds of the time and costs some
    throughput: for tests, not for benchmarks. `outlive_parent`: go on when this process ends. `advertised_ports`: for
    each, the broker has one more listener that sends its clients to that port of 127.0.0.1, where a proxy of the
    caller's stands before it; see `listener`. `security`: it has listeners with TLS and SASL too; see `secured`.
    `membership`: it is one of several; see EmbeddedCluster.

    The data and the port outlive `kill` and `restart`, not `stop`. Not for use by several threads at once.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        heap_megabytes: int = 512,
        partitions: int = 12,
        port: int | None = None,
        outlive_parent: bool = False,
        fast_start: bool = False,
        advertised_ports: Sequence[int] = (),
        security: Security | None = None,
        membership: Membership | None = None,
    ) -> None:
        self._kept_directory = directory
        self._directory: Path | None = None
        self._heap_megabytes = heap_megabytes
        self._partitions = partitions
        self._wanted_port = port
        self._ports: list[int] = []
        self._outlive_parent = outlive_parent
        self._fast_start = fast_start
        self._advertised_ports = tuple(advertised_ports)
        self._security = security
        self._membership = membership
        self._process: subprocess.Popen[bytes] | None = None
        self._owner_pid = os.getpid()

    @property
    def bootstrap(self) -> str:
        """The address for clients, `127.0.0.1:port`."""
        if not self._ports:
            raise EmbeddedKafkaError("the broker has no address before it is started")
        return f"127.0.0.1:{self._ports[0]}"

    def listener(self, number: int) -> tuple[str, int]:
        """Where the listener for the advertised port of this number really is: what its proxy connects to."""
        return "127.0.0.1", self._ports[2 + number]

    def secured(self, protocol: Protocol) -> str:
        """The address for clients of the listener with this protocol, `127.0.0.1:port`."""
        if self._security is None or not self._ports:
            raise EmbeddedKafkaError("the broker has no secured listeners before it is started with some")
        return f"127.0.0.1:{self._ports[PROTOCOLS.index(protocol) - len(PROTOCOLS)]}"

    @property
    def log_file(self) -> Path:
        """What the broker prints; it is gone with a temporary directory."""
        if self._directory is None:
            raise EmbeddedKafkaError("the broker has no log before it is started")
        return self._directory / "kafka.log"

    @property
    def pid(self) -> int | None:
        """The broker's process; None while it does not run."""
        return self._process.pid if self.running and self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return when the broker serves. Raises EmbeddedKafkaError with the cause and the last lines of its log."""
        if self.running:
            raise EmbeddedKafkaError(f"the broker already runs at {self.bootstrap}")
        jars = kafka_jars()
        if self._directory is None:
            self._directory = self._kept_directory or Path(tempfile.mkdtemp(prefix="ringonce-kafka-"))
            self._directory.mkdir(parents=True, exist_ok=True)
        if not self._outlive_parent:
            atexit.register(self.stop)
        classpath = os.pathsep.join(map(str, jars))
        try:
            for _ in range(PORT_TRIES):
                self._choose_ports()
                if self._start_once(self._directory, classpath):
                    return
            raise EmbeddedKafkaError(f"other programs took the chosen ports {PORT_TRIES} times in a row")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the broker cleanly, by force after 20 s, and remove its directory if it was a temporary one."""
        if os.getpid() != self._owner_pid:
            return  # A fork of the process that started it leaves, and the broker is not its own.
        atexit.unregister(self.stop)
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        if self._directory is not None and self._kept_directory is None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = None
        self._ports = []

    def kill(self) -> None:
        """SIGKILL, as a crash would end it; the data stays for `restart`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Start again after `kill`, or stop and start, on the same port and data."""
        if self._process is None or self._directory is None:
            raise EmbeddedKafkaError("only a broker that was started can be restarted")
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _choose_ports(self) -> None:
        """Keep the ports of an earlier start: clients know them."""
        if self._ports:
            return
        further = 1 + len(self._advertised_ports) + (len(PROTOCOLS) if self._security else 0)
        if self._membership is not None:
            # The other nodes know these: no others will do.
            self._ports = [self._membership.port, self._membership.controller_port]
            self._ports += free_ports(further - 1) if further > 1 else []
        elif self._wanted_port is None:
            self._ports = free_ports(1 + further)
        elif is_free(self._wanted_port):
            self._ports = [self._wanted_port, *free_ports(further)]
        else:
            raise EmbeddedKafkaError(f"port {self._wanted_port} on 127.0.0.1 is in use by another program")

    def _start_once(self, directory: Path, classpath: str) -> bool:
        """False: another program took a port between choosing and listening, and others may be tried."""
        properties = directory / "server.properties"
        properties.write_text(self._properties(directory), encoding="utf-8")
        log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        cluster_id = self._format(directory, properties, classpath)
        heap = f"-Xmx{self._heap_megabytes}m"
        self._process = spawn_java(
            [
                heap,
                *(["-XX:TieredStopAtLevel=1"] if self._fast_start else []),
                *_QUIET,
                "-cp",
                classpath,
                "kafka.Kafka",
                str(properties),
            ],
            self.log_file,
            outlive_parent=self._outlive_parent,
        )
        give_up_at = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < give_up_at:
            if self._process.poll() is not None:
                log = self.log_end(log_start)
                if "Address already in use" in log and self._wanted_port is None and self._membership is None:
                    self._ports = []
                    return False
                raise EmbeddedKafkaError(
                    f"Kafka ended with exit code {self._process.returncode} while starting:\n{log}"
                )
            if ready_cluster_id("127.0.0.1", self._ports[0], timeout_seconds=2.0) == cluster_id:
                return True
            time.sleep(0.05)
        raise EmbeddedKafkaError(f"Kafka did not answer within {START_SECONDS_MAX:.0f} s:\n{self.log_end(log_start)}")

    def _properties(self, directory: Path) -> str:
        template = files("connectors.embedded_kafka").joinpath("server.properties.in").read_text(encoding="utf-8")
        port, controller_port, *others = self._ports
        proxied, secured = others[: len(self._advertised_ports)], others[len(self._advertised_ports) :]
        # Each further listener: its name, its protocol, where it listens, and where it sends its clients.
        further = [
            (f"PROXIED{number}", "PLAINTEXT", port, advertised)
            for number, (port, advertised) in enumerate(zip(proxied, self._advertised_ports, strict=True))
        ]
        further += [(protocol, protocol, port, port) for protocol, port in zip(PROTOCOLS, secured, strict=False)]
        # Of a property that is there twice Kafka takes the last.
        own = self._membership.properties if self._membership else {}
        own |= self._security.write_properties(directory) if self._security else {}
        text = (
            template.replace("@LISTENERS@", "".join(f",{name}://127.0.0.1:{port}" for name, _, port, _ in further))
            .replace("@ADVERTISED@", "".join(f",{name}://127.0.0.1:{port}" for name, _, _, port in further))
            .replace("@PROTOCOLS@", "".join(f",{name}:{protocol}" for name, protocol, _, _ in further))
            .replace("@PORT@", str(port))
            .replace("@CONTROLLER_PORT@", str(controller_port))
            .replace("@PARTITIONS@", str(self._partitions))
            .replace("@DATA@", str((directory / "data").absolute()))
        )
        return text + "".join(f"{name}={value}\n" for name, value in own.items())

    def _format(self, directory: Path, properties: Path, classpath: str) -> str:
        """Give new data a cluster id; return the id that the data has."""
        meta = directory / "data" / "meta.properties"
        if not meta.exists():
            cluster_id = self._membership.cluster_id if self._membership else new_cluster_id()
            # The first compiler tier and the serial collector: the tool lives for a second.
            fast = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *_QUIET, "-cp", classpath]
            arguments = [*fast, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties)]
            arguments += self._security.format_arguments() if self._security else []
            if run_java(arguments, self.log_file, START_SECONDS_MAX) != 0:
                raise EmbeddedKafkaError(f"Kafka could not lay out {directory}:\n{self.log_end()}")
        for line in meta.read_text(encoding="utf-8").splitlines():
            if line.startswith("cluster.id="):
                return line.removeprefix("cluster.id=")
        raise EmbeddedKafkaError(f"{meta} names no cluster: the data is damaged")

    def log_end(self, position: int = 0) -> str:
        """The last lines of the log, of what was written after `position` bytes."""
        with self.log_file.open("rb") as log:
            log.seek(position)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LOG_LINES_SHOWN:]) or "  (its log is empty)"
