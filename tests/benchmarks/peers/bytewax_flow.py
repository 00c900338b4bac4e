"""Suppression with bytewax: a Kafka source, `stateful_map` by key, two Kafka sinks, one worker.

Its recovery stays off, as it is by default: state is in memory, and lost with the process. The faster choice.
https://docs.bytewax.io/stable/api/bytewax/bytewax.operators.html, .../bytewax.connectors.kafka.html
"""

from __future__ import annotations

from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main

from tests.benchmarks.peers.given import WINDOW_MS, Given, delivery, now_ms, read_notification, status, write

Held = tuple[str, int]
BATCH_RECORDS_MAX = 4_000


class Source(KafkaSource):  # type: ignore[misc] # installed only where it is measured
    """Says when the last partition is open, because nothing else does."""

    def __init__(self, partitions: int, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._missing = partitions

    def build_part(self, *arguments: Any) -> Any:
        """Open one partition."""
        part = super().build_part(*arguments)
        self._missing -= 1
        if not self._missing:
            print("ready", flush=True)
        return part


def decide(held: Held | None, message: Any) -> tuple[Held, tuple[bytes, bytes, bytes | None]]:
    """Who has the slot now; and of the event its key, its status, and what is sent on of it."""
    notification, now = read_notification(message.value), now_ms()
    if held is not None and held[1] > now:
        told = status(notification, message.partition, message.offset, now, held)
        return held, (message.key, write("Status", told), None)
    told = status(notification, message.partition, message.offset, now, None)
    passed = write("Delivery", delivery(notification, message.partition, message.offset, now))
    held = (notification["notification_id"], told["until"] + WINDOW_MS)
    return held, (message.key, write("Status", told), passed)


def passed_on(found: tuple[bytes, bytes, bytes | None]) -> Any:
    """The message for the outbox, if there is one."""
    key, _, value = found
    return None if value is None else KafkaSinkMessage(key.rpartition(b":")[0], value)


def create_flow(given: Given) -> Any:
    """The dataflow."""
    flow, brokers, writing = Dataflow("suppress"), [given.bootstrap], {"partitioner": "murmur2", "linger.ms": "20"}
    source = Source(given.partitions, brokers, [given.notifications], batch_size=BATCH_RECORDS_MAX)
    read = op.input("read", flow, source)
    keyed = op.key_on("slot", read, lambda message: message.key.decode())
    decided = op.key_rm("done", op.stateful_map("decide", keyed, decide))
    told = op.map("tell", decided, lambda found: KafkaSinkMessage(found[0], found[1]))
    op.output("statuses", told, KafkaSink(brokers, given.statuses, add_config=writing))
    op.output("outbox", op.filter_map("pass", decided, passed_on), KafkaSink(brokers, given.outbox, add_config=writing))
    return flow


if __name__ == "__main__":
    cli_main(create_flow(Given.from_command_line()))
