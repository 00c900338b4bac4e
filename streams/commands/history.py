"""`ringonce history`: keep every status in a database; search it, tell a story from it, remove a user from it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, TypeVar

import typer
from aiokafka.errors import KafkaError
from rich.table import Table
from rich.text import Text

from streams.codec import open_codec
from streams.commands.asking import instant, now_ms, shown
from streams.commands.terminal import WAIT_SECONDS, LogLevel, WaitSeconds, fail, log_as, out, say
from streams.history.database import (
    Database,
    DatabaseDownError,
    DatabaseRefusesError,
    history_address,
    history_source,
    open_database,
)
from streams.history.documents import page_document, story_document
from streams.history.erasing import Erasure
from streams.history.metrics import HistoryCollector
from streams.history.queries import LIMIT_MAX, STATES, Place, Search, read_place
from streams.history.rows import StatusRow
from streams.history.sink import HistorySink, SinkOptions
from streams.kafka_ready import wait_for_kafka
from streams.metrics import Metrics
from streams.setting_error import ENV_PREFIX
from streams.settings import Settings, load_settings
from streams.topics import TopicNames, ensure_topics

Done = TypeVar("Done")

history = typer.Typer(help="Keep every status in a database, and search it.", invoke_without_command=True)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]
User = Annotated[str, typer.Argument(help="The user_id.")]


def register(app: typer.Typer) -> None:
    app.add_typer(history, name="history")


@history.callback()
def keep(
    context: typer.Context,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
    log_level: LogLevel = None,
) -> None:
    """Without a command: write what is said on `statuses` into the database, until told to stop. Start several."""
    if context.invoked_subcommand is not None:
        return
    settings = load_settings()
    log_as(settings, log_level)
    address = history_address(settings)
    try:
        sink = HistorySink(settings, open_codec(settings), open_database(address), SinkOptions(say))
        with _metrics(sink, settings.web_host, settings.history_metrics_port):
            asyncio.run(_keep(settings, sink, wait_seconds, str(address)))
    except DatabaseRefusesError as error:
        fail(f"{ENV_PREFIX}HISTORY_URL: {error}", 2)
    except KafkaError as error:
        fail(f"Kafka at {settings.bootstrap} refuses: {error}")


@contextmanager
def _metrics(sink: HistorySink, host: str, port: int | None) -> Iterator[None]:
    """Show the sink to Prometheus, where a port is given for it."""
    if port is None:
        yield
        return
    metrics = Metrics()
    metrics.add(HistoryCollector(sink))
    with ExitStack() as served:
        try:
            taken = served.enter_context(metrics.served(host, port))
        except OSError as error:
            fail(f"{ENV_PREFIX}HISTORY_METRICS_PORT: {host}:{port} cannot be listened on: {error}", 2)
        say(f"metrics on http://{host}:{taken}/metrics")
        yield


async def _keep(settings: Settings, sink: HistorySink, wait_seconds: float, where: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await wait_for_kafka(settings, wait_seconds, say)
    report = await ensure_topics(settings)
    if report.differences:
        fail("\n".join(report.differences), 2)
    say(f"history of {TopicNames.of(settings).statuses} in {where}, for {settings.history_keep_days} days")
    await sink.run(stop)


@history.command()
def search(
    user: Annotated[str | None, typer.Option(help="Of this user.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Of this type.")] = None,
    state: Annotated[str | None, typer.Option(help="What stands so now: SUPPRESSED, DEAD, DEFERRED …")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="With this notification_id.")] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="INSTANT", help="Began from here, ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="INSTANT", help="Began before, ISO 8601.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="At most so many.")] = 100,
    after: Annotated[str | None, typer.Option(help="Go on after this, which the page before ended with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Search where notifications stand, newest first, page by page."""
    if state is not None and state.upper() not in STATES:
        fail(f"--state: must be one of {', '.join(sorted(STATES))}, is {state}", 2)
    wanted = Search(
        user,
        type_,
        None if state is None else state.upper(),
        id_,
        instant("--from", since),
        instant("--to", until),
        limit,
        _place(after),
    )
    page = _asked(lambda database: database.search(wanted))
    if as_json:
        out.print_json(json.dumps(page_document(page)))
        return
    table = Table(box=None)
    for name in ("began", "user", "type", "id", "state", "why", "until"):
        table.add_column(name, overflow="fold")
    for row in page.found:
        until_text = "" if row.until_ms is None else shown(row.until_ms)
        _add(
            table, shown(row.began_at_ms), row.user_id, row.type, row.notification_id, row.state, row.reason, until_text
        )
    out.print(table)
    if page.after is not None:
        say(f"there is more: --after {page.after}")


@history.command()
def show(
    user: User,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="The type.")],
    notification_id: Annotated[str, typer.Argument(metavar="ID", help="The notification_id.")],
    as_json: AsJson = False,
) -> None:
    """Show every status of one notification, with its place in Kafka. Exit code 1: nothing is known of it."""
    rows = _asked(lambda database: database.story(user, type_, notification_id))
    if not rows:
        fail(f"the history has nothing of {notification_id} of {user}:{type_}")
    if as_json:
        out.print_json(json.dumps(story_document(rows)))
        return
    table = Table(box=None)
    for name in ("at", "stage", "state", "why", "of", "place"):
        table.add_column(name, overflow="fold")
    for row in rows:
        place = f"{row.status_partition}@{row.status_offset}"
        _add(table, shown(row.at_ms), row.stage, row.state, _why(row), _of(row), place)
    out.print(table)


@history.command()
def forget(user: User) -> None:
    """Remove a user from the history alone; `ringonce forget` removes him from it as well, where a sink runs.

    What was said of him until now and is read later does not come back.
    """

    def remove(database: Database) -> int:
        erasure, removed = Erasure(user, now_ms()), 0
        while some := database.erase(erasure, None):
            removed += some
        return removed

    say(f"{_asked(remove, read_only=False)} events removed, with all that was said of them")


def _asked(ask: Callable[[Database], Done], read_only: bool = True) -> Done:
    settings = load_settings()
    database = open_database(history_address(settings), read_only=read_only)
    try:
        database.open(history_source(settings))
        return ask(database)
    except DatabaseRefusesError as error:
        fail(f"{ENV_PREFIX}HISTORY_URL: {error}", 2)
    except DatabaseDownError as error:
        fail(f"the database of the history: {error}")
    finally:
        database.close()


def _add(table: Table, *cells: str) -> None:
    # Names are of strangers: what looks like markup in them is shown, and what moves the cursor is not.
    table.add_row(*(Text(re.sub(r"[\x00-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", cell)) for cell in cells))


def _why(row: StatusRow) -> str:
    by = "" if row.by_notification_id is None else f", by {row.by_notification_id}"
    until = "" if row.until_ms is None else f", until {shown(row.until_ms)}"
    return f"{row.reason}{by}{until}"


def _of(row: StatusRow) -> str:
    attempt = f"attempt {row.attempt}" if row.attempt else ""
    return " ".join(part for part in (attempt, row.provider, row.device_id) if part)


def _place(text: str | None) -> Place | None:
    try:
        return None if text is None else read_place(text)
    except ValueError as error:
        fail(f"--after: {error}", 2)
