"""`ringonce broadcast`: tell many users the same; show how far it is; pause, resume, cancel it."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar, cast

import typer
from aiokafka.errors import KafkaError
from rich.table import Table

from schemas.poison import PoisonError
from schemas.records import Broadcast, BroadcastReport
from schemas.registry import RegistryError
from streams.codec import open_codec
from streams.commands.asking import get, instant, instant_in, now_ms, quoted, shown, worker_url
from streams.commands.terminal import WAIT_SECONDS, WaitSeconds, fail, login, named_values, out, quiet_clients, say
from streams.commands.written_down import Doing, written_down
from streams.kafka_ready import wait_for_kafka
from streams.policies.broadcasting import ENDS, Action, Counts, Phase, whole
from streams.publish.broadcast_lines import LINE_BYTES_MAX, read_broadcast, read_user
from streams.publish.broadcasts import BroadcastCommands, Controlled
from streams.settings import Settings, load_settings
from streams.topics import ensure_topics
from streams.types_file import NotificationTypes

LINES_MAX = 1_000  # of a list, read and handed on together
FOLLOW_SECONDS = 1.0
DRY_RUN_SECONDS_MAX = 600.0
Done = TypeVar("Done")

broadcast = typer.Typer(help="Tell many users the same, and see how far it is.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The id of the broadcast.")]
Url = Annotated[str | None, typer.Option(help="Web address of any worker; default: that of the settings.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")]
Seconds = Annotated[float, typer.Option(min=0.1, help="How long to wait for the answers of the workers.")]
By = Annotated[str | None, typer.Option(help="Who asks: it stands in the reports. Default: the name of this login.")]


def register(app: typer.Typer) -> None:
    app.add_typer(broadcast, name="broadcast")


@broadcast.command()
def start(
    type_: Annotated[str, typer.Option("--type", help="What kind of notification.")],
    all_: Annotated[bool, typer.Option("--all", help="Tell every user that has a device.")] = False,
    users_file: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Tell these: one user_id a line, or - for a pipe.")
    ] = None,
    filter_: Annotated[
        str | None,
        typer.Option("--filter", metavar="EXPRESSION", help="Tell those that it is true for: \"language = 'de'\"."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell nobody; count who would be told.")] = False,
    id_: Annotated[
        str | None, typer.Option("--id", help="Its id; the same id again is the same broadcast. Default: a new one.")
    ] = None,
    per_second: Annotated[
        int | None, typer.Option(min=1, help="Users told per second. Default: RINGONCE_BROADCAST_PER_SECOND.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title; default: from the template of the type.")] = None,
    body: Annotated[str | None, typer.Option(help="Text; default: from the template of the type.")] = None,
    data: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Value for the template and the app; repeat it.")
    ] = None,
    send_at: Annotated[str | None, typer.Option(metavar="INSTANT", help="Not before, ISO 8601.")] = None,
    send_at_local: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not before this local time of each user, 2026-12-24T18:00.")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Zone of --send-at-local instead, such as Europe/Berlin.")
    ] = None,
    expires_at: Annotated[str | None, typer.Option(metavar="INSTANT", help="Useless after, ISO 8601.")] = None,
    expires_in: Annotated[str | None, typer.Option(metavar="DURATION", help="Useless after: 10m, 2d.")] = None,
    by: By = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="How long to wait for the count of a dry run.")
    ] = DRY_RUN_SECONDS_MAX,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Start a broadcast; return when Kafka has it, and print its id. With --dry-run, print who would be told."""
    if sum((all_, users_file is not None, filter_ is not None)) != 1:
        fail("give one of --all, --users-file and --filter", 2)
    if expires_at is not None and expires_in is not None:
        fail("give --expires-at or --expires-in, not both", 2)
    settings = load_settings()
    quiet_clients()
    values: dict[str, Any] = {
        "broadcast_id": str(uuid.uuid4()) if id_ is None else id_,
        "type": type_,
        "audience": "all" if all_ else "list" if users_file is not None else "filter",
        "filter": filter_,
        "per_second": per_second,
        "dry_run": dry_run,
        "requested_by": by or login(),
        "title": title,
        "body": body,
        "data": named_values("--data", data or []),
        "send_at": instant("--send-at", send_at),
        "send_at_local": send_at_local,
        "time_zone": time_zone,
        "expires_at": instant_in("--expires-in", expires_in) or instant("--expires-at", expires_at),
    }
    try:
        record, _ = read_broadcast(values, NotificationTypes.load(settings.types_file), now_ms())
    except ValueError as error:
        fail(str(error), 2)
    doing = Doing("broadcast.start", f"broadcast start {record['broadcast_id']}", values["requested_by"])
    total = _on_kafka(
        settings, record["broadcast_id"], doing, wait_seconds, lambda kafka: _start(kafka, record, users_file, seconds)
    )
    if not dry_run:
        out.print(record["broadcast_id"], markup=False)
        return
    if total is None:
        fail(
            f"no count within {seconds:g} s: is a worker running? `ringonce broadcast show {record['broadcast_id']}` "
            "shows how far it is"
        )
    if total["state"] != "DONE":
        fail(f"{total['state']}: {total['reason']}")
    out.print(f"{total['matched']:,} of {total['seen']:,} users would be told", markup=False)


async def _start(
    commands: BroadcastCommands, record: Broadcast, users_file: str | None, seconds: float
) -> BroadcastReport | None:
    if users_file is not None:
        with _open(users_file) as file:
            async with aclosing(_listed(file)) as users:
                count = await commands.list_users(record["broadcast_id"], users)
        say(f"{count:,} users listed")
    if record.get("dry_run"):
        return await commands.totals(record, seconds)
    await commands.start(record)
    return None


def _open(name: str) -> BinaryIO:
    try:
        return open(0 if name == "-" else Path(name), "rb", closefd=name != "-")
    except OSError as error:
        fail(f"{name}: {error.strerror or error}", 2)


async def _listed(file: BinaryIO) -> AsyncGenerator[Sequence[str]]:
    """Yield the user_ids of a file or a pipe, some at a time."""
    number = 0

    def some() -> list[bytes]:
        return list(islice(iter(lambda: file.readline(LINE_BYTES_MAX + 1), b""), LINES_MAX))

    while lines := await asyncio.to_thread(some):
        users = []
        for line in lines:
            number += 1
            try:
                user = read_user(line)
            except ValueError as error:
                raise PoisonError("INVALID_FIELD", f"line {number}: {error}; nobody has been told") from None
            if user is not None:
                users.append(user)
        yield users


@broadcast.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List what is known of broadcasts, the newest first."""
    found = get(f"{url or worker_url(load_settings())}/broadcasts", {"limit": str(limit)})
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = Table(box=None)
    for name in ("started", "id", "type", "state", "seen", "told", "left"):
        table.add_column(name, overflow="fold")
    for each in found["broadcasts"]:
        told = f"{each['matched']:,} (dry run)" if each.get("dry_run") else f"{each['emitted']:,}"
        started, kind = shown(each["started_at"]), each.get("type", "?")
        table.add_row(started, each["broadcast_id"], kind, each["state"], _seen(each), told, _left(each))
    out.print(table)
    if found["more"]:
        say("there are more: --limit")


@broadcast.command()
def show(
    broadcast_id: Id,
    follow: Annotated[bool, typer.Option("--follow", help="Say it every second until it has ended.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show where one stands."""
    address = f"{url or worker_url(load_settings())}/broadcasts/{quoted(broadcast_id)}"
    found = get(address)
    while follow and found["state"] not in ENDS:
        say(progress_line(found))
        time.sleep(FOLLOW_SECONDS)
        found = get(address)
    if as_json:
        out.print_json(json.dumps(found))
    else:
        out.print(progress_line(found), markup=False)


def progress_line(each: dict[str, Any]) -> str:
    """`RUNNING: 120,000 of 1,000,000 users seen, 118,230 told, 2,000/s, 7m 20s left; waits for …`."""
    told = f"{each['matched']:,} would be told" if each.get("dry_run") else f"{each['emitted']:,} told"
    parts = [f"{_seen(each)} users seen", told]
    if each["state"] == "RUNNING":
        parts += [f"{each['told_per_second']:,}/s", f"{_left(each)} left"]
    waits = "".join(f"; waits for {what}" for what in each.get("waits_for", ()))
    return f"{each['state']}: {', '.join(parts)}{waits} ({each['reason']})"


def _seen(each: dict[str, Any]) -> str:
    users = "?" if each["users"] is None else f"{each['users']:,}"
    return f"{each['seen']:,} of {users}"


def _left(each: dict[str, Any]) -> str:
    if each["state"] in ENDS:
        return "0s"
    seconds = each.get("seconds_left")
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{number}{unit} " for number, unit in ((hours, "h"), (minutes, "m")) if number) + f"{rest}s"


@broadcast.command()
def pause(broadcast_id: Id, by: By = None, seconds: Seconds = 30.0, wait_seconds: WaitSeconds = WAIT_SECONDS) -> None:
    """Tell nobody until it is resumed."""
    _control(broadcast_id, "PAUSE", by, seconds, wait_seconds)


@broadcast.command()
def resume(broadcast_id: Id, by: By = None, seconds: Seconds = 30.0, wait_seconds: WaitSeconds = WAIT_SECONDS) -> None:
    """Go on where it was paused."""
    _control(broadcast_id, "RESUME", by, seconds, wait_seconds)


@broadcast.command()
def cancel(broadcast_id: Id, by: By = None, seconds: Seconds = 30.0, wait_seconds: WaitSeconds = WAIT_SECONDS) -> None:
    """Tell nobody any more; say how many were told, who are not recalled."""
    _control(broadcast_id, "CANCEL", by, seconds, wait_seconds)


def _control(broadcast_id: str, action: Action, by: str | None, seconds: float, wait_seconds: float) -> None:
    settings = load_settings()
    quiet_clients()
    name, asker = action.lower(), by or login()
    doing = Doing(f"broadcast.{name}", f"broadcast {name} {broadcast_id}", asker)

    async def control(kafka: BroadcastCommands) -> str:
        said, code = answer_of(await kafka.control(broadcast_id, action, asker, seconds), action, settings.partitions)
        if code:
            fail(said, code)
        return said

    out.print(_on_kafka(settings, broadcast_id, doing, wait_seconds, control), markup=False)


def answer_of(done: Controlled, action: Action, partitions: int) -> tuple[str, int]:
    """Return what the partitions have answered as a sentence, and the exit code."""
    if len(done.reports) < partitions:
        missing = partitions - len(done.reports)
        return (
            f"{missing} of {partitions} partitions have not answered in time: is a worker running? The command "
            f"{done.request_id} is on Kafka, and will be carried out when one is",
            1,
        )
    known = [report for report in done.reports.values() if report["state"] != "UNKNOWN_ID"]
    if not known:
        return "no broadcast of this id is known, or it ended long ago", 1
    state = whole([cast(Phase, report["state"]) for report in known], partitions)
    counts = Counts(*(sum(report[name] for report in known) for name in Counts._fields))  # type: ignore[literal-required] # a field of both
    told = f"{state}: {counts.emitted:,} users told"
    wanted: dict[Action, tuple[str, ...]] = {
        "PAUSE": ("PAUSED",),
        "RESUME": ("RUNNING",),
        "CANCEL": ("CANCELLED",),
    }
    if state in wanted[action]:
        return f"{told}; what they were told is on its way, and not recalled" if action == "CANCEL" else told, 0
    return f"{told}; too late for that", 1


def _on_kafka(
    settings: Settings,
    broadcast_id: str,
    doing: Doing,
    wait_seconds: float,
    ask: Callable[[BroadcastCommands], Awaitable[Done]],
) -> Done:
    async def asked() -> Done:
        await wait_for_kafka(settings, wait_seconds, say)
        await ensure_topics(settings)
        codec = open_codec(settings)
        async with written_down(settings, codec, doing), BroadcastCommands(settings, codec) as commands:
            return await ask(commands)

    try:
        return asyncio.run(asked())
    except PoisonError as error:
        fail(error.reason, 2)
    except (KafkaError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        fail(f"Kafka at {settings.bootstrap} has not confirmed it: {reason}; ask again for the id {broadcast_id}")
    except RegistryError as error:
        fail(f"the schema registry at {settings.schema_registry_url}: {error}")
