"""Runs what has an event loop of its own beside Playwright, whose event loop has the main thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

Result = TypeVar("Result")


def beside(work: Callable[[], Result]) -> Result:
    """Run this on a thread of its own, and return what it returns."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@contextmanager
def opened_beside(context: AbstractContextManager[Result]) -> Iterator[Result]:
    """Enter and leave a context on threads of their own."""
    found = beside(context.__enter__)
    try:
        yield found
    finally:
        beside(lambda: context.__exit__(None, None, None))
