"""EmbeddedCluster: several real brokers on one machine, each of which may be killed and come back.

Every partition is on all of three brokers, and two must have a record before it is acknowledged: one broker may be
gone, and nothing that was acknowledged is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from connectors.embedded_kafka.broker import EmbeddedKafka
from connectors.embedded_kafka.membership import Membership, new_cluster_id
from connectors.embedded_kafka.ports import free_ports

HEAP_MEGABYTES = 256  # three of them share a machine with what they are tested with


class EmbeddedCluster:
    """`size` brokers, each a controller too, on the loopback interface; see EmbeddedKafka for the parameters.

    Not for use by several threads at once.
    """

    def __init__(self, directory: Path, size: int = 3, *, partitions: int = 12, fast_start: bool = False) -> None:
        ports = free_ports(2 * size)
        voters = {number + 1: ports[2 * number + 1] for number in range(size)}
        cluster_id = new_cluster_id()
        self.brokers = [
            EmbeddedKafka(
                directory / f"kafka-{number + 1}",
                heap_megabytes=HEAP_MEGABYTES,
                partitions=partitions,
                fast_start=fast_start,
                membership=Membership(number + 1, cluster_id, voters, ports[2 * number]),
            )
            for number in range(size)
        ]

    @property
    def bootstrap(self) -> str:
        """The addresses of all brokers, for clients."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    def start(self) -> None:
        """Return when every broker serves. Raises EmbeddedKafkaError; then none of them runs."""
        try:
            # Side by side: none of them serves before most of them are there.
            _all(broker.start for broker in self.brokers)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all brokers; the data stays in the directory."""
        # Side by side as well: the last controller of a quorum waits for the others in vain.
        _all(broker.stop for broker in self.brokers)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _all(actions: Iterable[Callable[[], None]]) -> None:
    """Do them side by side; when all have ended, raise what the first that failed has raised."""
    with ThreadPoolExecutor() as threads:
        started = [threads.submit(action) for action in actions]
    for each in started:
        each.result()
