"""`ringonce worker`: run one worker until it is told to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import typer
from aiokafka.errors import KafkaError

from streams.commands.terminal import WAIT_SECONDS, LogLevel, WaitSeconds, fail, log_as, say
from streams.logs import notice
from streams.settings import load_settings

if TYPE_CHECKING:
    from streams.lane.app import LaneApp


def register(app: typer.Typer) -> None:
    app.command()(worker)


def worker(
    wait_seconds: WaitSeconds = WAIT_SECONDS,
    log_level: LogLevel = None,
) -> None:
    """Run one worker. Start more of them, here or on other machines: they share the partitions."""
    # All that a worker is made of takes half a second to import, which the other commands need not pay.
    from streams.worker import TopicsError, WorkerOptions, restart_in_place, run_worker

    settings = load_settings()
    log = log_as(settings, log_level)
    started_at = time.monotonic()

    def tell(text: str) -> None:
        if settings.log_format == "json":
            notice(log, text)
        else:
            say(text)

    def ready(app: LaneApp) -> None:
        recovered = "nothing to recover" if app.replay is None else app.replay.describe()
        tell(f"ready: {app.lanes.describe()}; {recovered}; web {app.conf.canonical_url}")

    options = WorkerOptions(wait_seconds, tell, ready)
    try:
        failure = _run(run_worker(settings, options))
    except TopicsError as error:
        fail(str(error), 2)
    except KafkaError as error:
        fail(f"Kafka at {settings.bootstrap} refuses: {error}")
    if failure is not None:
        restart_in_place(failure, started_at)
        fail(f"too many failures in a row, the last one: {failure!r}")


def _run(work: Coroutine[Any, Any, BaseException | None]) -> BaseException | None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.run(work)
    return uvloop.run(work)
