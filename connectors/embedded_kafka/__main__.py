"""`python -m connectors.embedded_kafka`: one broker until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading

from connectors.embedded_kafka import EmbeddedKafka, EmbeddedKafkaError


def main() -> int:
    """Print the bootstrap address, serve until SIGINT or SIGTERM, return the exit code."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    broker = EmbeddedKafka()
    try:
        with broker:
            print(broker.bootstrap, flush=True)
            while not ended.wait(0.5):
                if not broker.running:
                    print(f"Kafka has ended; its log is {broker.log_file}", file=sys.stderr)
                    return 1
    except EmbeddedKafkaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
