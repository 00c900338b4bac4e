"""What is in memory while the garbage collector rests, and would be its to find."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_collected() -> Iterator[None]:
    """From a clean start."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive(*kinds: type) -> list[object]:
    """The objects of these classes; an error that was logged may hold some of an earlier test's."""
    return [one for one in gc.get_objects() if isinstance(one, kinds)]
