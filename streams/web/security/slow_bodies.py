"""A body must come in time, whoever reads it and however."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


class SlowBodyError(Exception):
    """The body has not come in time."""


@contextmanager
def in_time(request: web.Request, seconds_max: float) -> Iterator[None]:
    """Let whoever reads the body fail with SlowBodyError, once it has not come as a whole within so many seconds."""
    if not request.can_read_body:
        yield
        return

    def expire() -> None:
        if not request.content.is_eof():
            request.content.set_exception(SlowBodyError(f"the body has not come within {seconds_max:g} s"))

    limit = asyncio.get_running_loop().call_later(seconds_max, expire)
    try:
        yield
    finally:
        limit.cancel()
