"""Stopping a consumer, which in aiokafka 0.14 may never end by itself, or end half-way."""

from __future__ import annotations

import asyncio
from typing import Any

CANCEL_AGAIN_SECONDS = 0.5  # a stop takes milliseconds


async def stop_consumer(consumer: Any) -> None:
    """Stop an aiokafka consumer. Raises CancelledError only where the caller is cancelled.

    `Fetcher.close` cancels the task that fetches, once, and waits for it. When the assignment has just changed, that
    task is waiting for fetches that it has cancelled itself, takes its own cancellation for theirs (`suppress`, since
    aiokafka's #1007), and goes on for ever. Cancelled again, it ends.

    Then it cancels the fetches and awaits each. One that waits before it tries again, as all do while a broker is gone,
    ends as cancelled, and so does the whole stop, with connections open: who waits for it takes it for a cancellation
    of his own. The rest of the stop is done here.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    try:
        while not (await asyncio.wait([stopping], timeout=CANCEL_AGAIN_SECONDS))[0]:
            if consumer._fetcher is not None:
                consumer._fetcher._fetch_task.cancel()
    finally:
        stopping.cancel()
    if not stopping.cancelled():
        stopping.result()
        return
    if fetches := list(consumer._fetcher._pending_tasks):
        for fetch in fetches:
            fetch.cancel()
        await asyncio.wait(fetches, timeout=CANCEL_AGAIN_SECONDS)
    await consumer._client.close()
