"""One broker for as long as its terminal wants it."""

from __future__ import annotations

import signal
import sys
import threading

from connectors.embedded_kafka.broker import EmbeddedKafka
from connectors.embedded_kafka.errors import EmbeddedKafkaError

WATCH_SECONDS = 0.5


def serve(*, port: int | None = None, heap_megabytes: int = 512) -> int:
    """Print the bootstrap address, serve until SIGINT or SIGTERM, return the exit code."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    broker = EmbeddedKafka(port=port, heap_megabytes=heap_megabytes)
    try:
        with broker:
            print(broker.bootstrap, flush=True)
            while not ended.wait(WATCH_SECONDS):
                if not broker.running:
                    print(f"error: Kafka has ended; the end of its log:\n{broker.log_end()}", file=sys.stderr)
                    return 1
    except EmbeddedKafkaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
