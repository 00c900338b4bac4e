"""A lock between processes that the operating system gives back when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from connectors.embedded_kafka.errors import EmbeddedKafkaError

POLL_SECONDS = 0.1


@contextlib.contextmanager
def exclusive(path: Path, wait_seconds: float) -> Iterator[None]:
    """Hold `path`. Raises EmbeddedKafkaError when another process holds it for longer than `wait_seconds`."""
    give_up_at = time.monotonic() + wait_seconds
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= give_up_at:
                    raise EmbeddedKafkaError(f"another process has held {path} for {wait_seconds:.0f} s") from None
                time.sleep(POLL_SECONDS)
        yield
