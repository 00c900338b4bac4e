"""A worker: one process with all stages over the partitions that the group gives it.

It ends in one of two ways. Told to stop, it takes nothing new, notes the outcomes of what is under way, and leaves.
When anything fails that only recovery can mend (a fenced producer, a commit of unknown outcome, a lost chunk),
it starts anew in place: the same process id, a fresh state, everything that counts is in Kafka.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError

from schemas.registry import RegistryError
from streams.app import AppParts, create_app
from streams.audit.continuous import AuditCollector, ContinuousAudit
from streams.codec import open_codec
from streams.connect import open_connectors, open_user_service
from streams.history.beside import SinkBeside
from streams.history.metrics import HistoryCollector
from streams.kafka_ready import wait_for_kafka
from streams.lane.app import LaneApp
from streams.lane.clock import wall_ms
from streams.lane.watchdog import LaneWatch, LoopGuard, NoProgressError
from streams.profiles.metrics import UserServiceCollector
from streams.settings import Settings, SettingsError
from streams.stories.collector import StoriesCollector
from streams.stories.follower import Stories
from streams.templates.collector import TemplatesCollector
from streams.templates.folder import TemplateFolder
from streams.templates.follower import TemplateFollower, TemplatesUnreadError
from streams.templates.library import TemplateLibrary
from streams.topics import ensure_topics
from streams.tracing.metrics import TracingCollector
from streams.tracing.open import open_tracing
from streams.types_file import NotificationTypes
from streams.web.address import web_port
from streams.web.front import FrontParts, install_front
from streams.web.security.security import open_security
from streams.worker_metrics import WorkerCollector, installed_version

logger = logging.getLogger(__name__)

STOP_SECONDS_MAX = 30.0
CANCEL_SECONDS_MAX = 5.0  # what has not ended by then ends with the process
RESTARTS_MAX = 10  # in a row; then something is wrong that starting anew does not mend
GOOD_RUN_SECONDS = 60.0  # after a run of this length the count begins anew
BACKOFF_SECONDS_MAX = 15.0
OUTAGE_SECONDS_MAX = 3600.0  # a worker that ran before waits for its broker for this long
RESTARTS_VARIABLE = "RINGONCE_WORKER_RESTARTS"
WEB_PORT_VARIABLE = "RINGONCE_WORKER_WEB_PORT"
CLOCK_OFFSET_VARIABLE = "RINGONCE_TEST_CLOCK_OFFSET_SECONDS"


class TopicsError(Exception):
    """The topics are not as they must be; each line is one difference."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker runs. `ready` is called once it has its partitions and has recovered them."""

    wait_seconds: float
    say: Callable[[str], None]
    ready: Callable[[LaneApp], None] = lambda app: None


def _at_the_same_port(settings: Settings) -> Settings:
    """Return settings with the free port that was found before this process started anew, if it is still free."""
    before = os.environ.get(WEB_PORT_VARIABLE)
    if settings.web_port or before is None:
        return settings
    kept = settings.model_copy(update={"web_port": int(before)})
    try:
        web_port(kept)
    except SettingsError:
        return settings
    return kept


async def run_worker(settings: Settings, options: WorkerOptions) -> BaseException | None:
    """Run until told to stop (None) or until something fails (what it was)."""
    started_at = time.monotonic()
    settings = _at_the_same_port(settings)
    restarted = RESTARTS_VARIABLE in os.environ
    wait_seconds = max(options.wait_seconds, OUTAGE_SECONDS_MAX) if restarted else options.wait_seconds
    # What is wrong with the settings is said at once, and not after a minute of waiting for Kafka.
    security = open_security(settings)
    connectors = open_connectors(settings)
    user_service = open_user_service(settings)
    tracing = open_tracing(settings, installed_version())
    tracer = None if tracing is None else tracing.tracer
    types = NotificationTypes.load(settings.types_file)
    library = TemplateLibrary(types, settings.locale)
    folder = None if settings.templates_dir is None else TemplateFolder(settings.templates_dir, library)
    if folder is not None:
        # A worker that starts anew must not end by a file that it had refused while it ran.
        folder.load(strict=not restarted)
    await wait_for_kafka(settings, wait_seconds, options.say)
    report = await ensure_topics(settings)
    if report.differences:
        raise TopicsError("\n".join(report.differences))
    codec = open_codec(settings)
    app = create_app(
        AppParts(
            settings=settings,
            types=types,
            connectors=connectors,
            codec=codec,
            profiles=user_service,
            templates=library,
            tracer=tracer,
            wall_ms=_clock(),
        )
    )
    os.environ[WEB_PORT_VARIABLE] = str(app.conf.web_port)
    stories = Stories(app, settings, codec) if settings.stories_hours else None
    front = install_front(FrontParts(app, settings, types, codec, library, security, stories, tracer))
    audit = ContinuousAudit(app, settings, types, codec)
    app.metrics.add(AuditCollector(audit))
    app.metrics.add(StoriesCollector(stories))
    app.metrics.add(TemplatesCollector(library))
    app.metrics.add(UserServiceCollector(user_service))
    app.metrics.add(WorkerCollector(int(os.environ.get(RESTARTS_VARIABLE, "0")), GOOD_RUN_SECONDS))
    history = SinkBeside(settings, lambda: open_codec(settings)) if settings.history == "worker" else None
    app.metrics.add(HistoryCollector(history))
    app.metrics.add(TracingCollector(None if tracing is None else tracing.sink))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    for connector in connectors.values():
        await connector.start()
    guard = LoopGuard(lambda: _give_up(stop.is_set(), started_at))
    guard.start(loop)
    follower = TemplateFollower(settings, codec, library)
    try:
        await follower.load()
        besides = [audit.run(), follower.run(), *(each.run() for each in (folder, stories) if each is not None)]
        besides += [run() for run in front.besides]
        if history is not None:
            besides.append(history.run(app.lanes.opened, stop))
        return await _run_app(app, besides, stop, options)
    except (TemplatesUnreadError, KafkaError, RegistryError) as error:
        return error
    finally:
        guard.closing()
        if history is not None:
            await history.close()
        await follower.close()
        await front.close()
        for connector in connectors.values():
            await connector.close()
        if user_service is not None:
            await user_service.close()
        if tracing is not None:
            await asyncio.to_thread(tracing.sink.close)


def _give_up(stopping: bool, started_at: float) -> None:
    """Called from the guard's thread, when the event loop hangs, or does not end."""
    if not stopping:
        restart_in_place(NoProgressError("the event loop does not turn, or does not end"), started_at)
    os._exit(1)


def _clock() -> Callable[[], int]:
    """Return the wall clock; chaos runs set it wrong by this variable, in this one place."""
    offset_ms = int(float(os.environ.get(CLOCK_OFFSET_VARIABLE, "0")) * 1000)
    return wall_ms if offset_ms == 0 else lambda: wall_ms() + offset_ms


async def _run_app(
    app: LaneApp, besides_it: Iterable[Coroutine[Any, Any, None]], stop: asyncio.Event, options: WorkerOptions
) -> BaseException | None:
    app.finalize()
    besides = [asyncio.create_task(each) for each in (_say_ready(app, options), *besides_it)]
    # Told to stop while it still starts, it stops; and a start that hangs is seen by the watchdog.
    ends: list[asyncio.Task[Any]] = [
        asyncio.create_task(stop.wait()),
        asyncio.create_task(_work(app)),
        asyncio.create_task(LaneWatch(app).run()),
    ]
    failure: BaseException | None = None
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            done = [end for end in ends if end.done() and not end.cancelled()]
            raised = next((end.exception() for end in done if end.exception()), None)
            failure = app.failure or app.crash_reason or raised or RuntimeError("the worker stopped by itself")
    finally:
        # The start may still be under way: stopping ends it well, cancelling it first would leave it half done.
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await app.stop()
        except Exception as error:  # stopping what has failed may fail; the process starts anew or ends
            logger.warning("while stopping: %r", error)
        for task in (*besides, *ends):
            task.cancel()
        await asyncio.wait([*besides, *ends], timeout=CANCEL_SECONDS_MAX)
    return failure


async def _work(app: LaneApp) -> None:
    await app.start()
    await app.wait_until_stopped()


async def _say_ready(app: LaneApp, options: WorkerOptions) -> None:
    await app.lanes.opened.wait()
    options.ready(app)


def restart_in_place(failure: BaseException, started_at: float) -> None:
    """Replace this process by a fresh one, after a pause that grows with each failure in a row.

    Returns when there were too many in a row: the caller ends, and whoever supervises the process sees it.
    """
    ran_seconds = time.monotonic() - started_at
    restarts = 0 if ran_seconds > GOOD_RUN_SECONDS else int(os.environ.get(RESTARTS_VARIABLE, "0"))
    logger.error("worker failed after %.0f s: %r", ran_seconds, failure)
    if restarts >= RESTARTS_MAX:
        return
    time.sleep(min(BACKOFF_SECONDS_MAX, 0.5 * 2**restarts))
    os.environ[RESTARTS_VARIABLE] = str(restarts + 1)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "streams", *sys.argv[1:]])
