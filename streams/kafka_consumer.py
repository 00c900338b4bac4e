"""Stopping a consumer, which in aiokafka 0.14 may never end by itself."""

from __future__ import annotations

import asyncio
from typing import Any

CANCEL_AGAIN_SECONDS = 0.5  # a stop takes milliseconds


async def stop_consumer(consumer: Any) -> None:
    """Stop an aiokafka consumer.

    `Fetcher.close` cancels the task that fetches, once, and waits for it. When the assignment has just changed, that
    task is waiting for fetches that it has cancelled itself, takes its own cancellation for theirs (`suppress`, since
    aiokafka's #1007), and goes on for ever. Cancelled again, it ends.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    try:
        while not (await asyncio.wait([stopping], timeout=CANCEL_AGAIN_SECONDS))[0]:
            if consumer._fetcher is not None:
                consumer._fetcher._fetch_task.cancel()
    finally:
        stopping.cancel()
    stopping.result()
