"""The user service stand-in beside a test that is not asynchronous: on a loop of its own, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.user_service_stand_in import UserServiceStandIn

SECONDS_MAX = 30.0


@contextmanager
def user_service_beside(**users: object) -> Iterator[UserServiceStandIn]:
    """One that listens and knows these users, as long as the block lasts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stand_in = UserServiceStandIn(dict(users))
    asyncio.run_coroutine_threadsafe(stand_in.start(), loop).result(SECONDS_MAX)
    try:
        yield stand_in
    finally:
        asyncio.run_coroutine_threadsafe(stand_in.stop(), loop).result(SECONDS_MAX)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS_MAX)
        loop.close()
