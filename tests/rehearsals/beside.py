"""What goes on beside a rehearsal, again and again, in a thread; when it fails, so does the rehearsal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_MAX = 60.0


@contextmanager
def beside(do: Callable[[], None], every_seconds: float) -> Iterator[None]:
    """Do this again and again, with a pause before each time, as long as the block lasts."""
    over, failures = threading.Event(), list[BaseException]()

    def go_on() -> None:
        try:
            while not over.wait(every_seconds):
                do()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(SECONDS_MAX)
    assert not thread.is_alive(), f"what goes on beside has not ended within {SECONDS_MAX:g} s"
    if failures:
        raise failures[0]
