"""`ringonce schedule`: show what waits for its time, cancel it, move it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from rich.table import Table

from schemas.poison import PoisonError
from schemas.records import ScheduleAnswer
from schemas.registry import RegistryError
from streams.codec import open_codec
from streams.commands.asking import get, instant, instant_in, quoted, shown, worker_url
from streams.commands.terminal import WAIT_SECONDS, WaitSeconds, fail, login, out, quiet_clients, say
from streams.kafka_ready import wait_for_kafka
from streams.publish.schedule_commands import Asked, ScheduleCommands, Target
from streams.settings import Settings, load_settings
from streams.topics import ensure_topics
from streams.types_file import NotificationTypes

DONE = ("CANCELLED", "MOVED")
Ask = Callable[[ScheduleCommands], Awaitable[Asked]]

schedule = typer.Typer(help="Show what waits for its time, cancel it, move it.", no_args_is_help=True)

User = Annotated[str, typer.Argument(help="The user.")]
Kind = Annotated[str, typer.Argument(metavar="TYPE", help="The type.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The notification_id.")]
Url = Annotated[str | None, typer.Option(help="Web address of any worker; default: that of the settings.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]
Seconds = Annotated[float, typer.Option(min=0.1, help="How long to wait for the answer of a worker.")]
By = Annotated[str | None, typer.Option(help="Who asks: it stands in the status. Default: the name of this login.")]


def register(app: typer.Typer) -> None:
    app.add_typer(schedule, name="schedule")


@schedule.command("list")
def list_(
    user: Annotated[
        str | None, typer.Option(help="Of this user: of --type, or of all types of the types file.")
    ] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Of this type.")] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="INSTANT", help="Due from here, ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="INSTANT", help="Due before, ISO 8601.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List what is pending, in due order."""
    settings = load_settings()
    base = url or worker_url(settings)
    if user is None:
        query = {"from": since, "to": until, "limit": str(limit), "type": type_}
        given = {name: value for name, value in query.items() if value is not None}
        found = get(f"{base}/schedule", given)
    else:
        types = [type_] if type_ else sorted(NotificationTypes.load(settings.types_file).policies)
        pages = [get(f"{base}/schedule/{quoted(user)}/{quoted(each)}") for each in types]
        bounds = instant("--from", since) or 0, instant("--to", until)
        rows = [row for page in pages for row in page["notifications"]]
        rows = [row for row in rows if bounds[0] <= row["due_at"] and (bounds[1] is None or row["due_at"] < bounds[1])]
        rows.sort(key=lambda row: row["due_at"])
        found = {"notifications": rows[:limit], "complete_until": rows[limit]["due_at"] if len(rows) > limit else None}
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = Table(box=None)
    for name in ("due", "user", "type", "id", ""):
        table.add_column(name, overflow="fold")
    for row in found["notifications"]:
        note = "its next attempt" if row["kind"] == "retry" else ""
        table.add_row(shown(row["due_at"]), row["user_id"], row["type"], row["notification_id"], note)
    out.print(table)
    if found["complete_until"] is not None:
        say(f"more is due from {shown(found['complete_until'])} on: --from, --limit")


@schedule.command()
def show(user: User, type_: Kind, notification_id: Id, url: Url = None) -> None:
    """Show one pending notification in full, as JSON. Exit code 1: it is not pending."""
    base = url or worker_url(load_settings())
    out.print_json(json.dumps(get(f"{base}/schedule/{quoted(user)}/{quoted(type_)}/{quoted(notification_id)}")))


@schedule.command()
def cancel(
    user: User,
    type_: Kind,
    notification_id: Id,
    by: By = None,
    seconds: Seconds = 30.0,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Cancel one. Exit code 1: it was too late, or nothing is known of it; the answer says which."""
    target = Target(user, type_, notification_id)
    _command(lambda commands: commands.cancel(target, by or login(), seconds), seconds, wait_seconds)


@schedule.command()
def move(
    user: User,
    type_: Kind,
    notification_id: Id,
    to: Annotated[str | None, typer.Option("--to", metavar="INSTANT", help="The new time, ISO 8601.")] = None,
    to_in: Annotated[str | None, typer.Option("--in", metavar="DURATION", help="From now: 10m, 1h30m, 2d.")] = None,
    by: By = None,
    seconds: Seconds = 30.0,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Give one another time. Exit code 1: it was too late, or nothing is known of it; the answer says which."""
    if (to is None) == (to_in is None):
        fail("give either --to or --in", 2)
    due_at = instant("--to", to) if to_in is None else instant_in("--in", to_in)
    assert due_at is not None, "one of the two is there"
    target = Target(user, type_, notification_id)
    _command(lambda commands: commands.move(target, due_at, by or login(), seconds), seconds, wait_seconds)


def _command(ask: Ask, seconds: float, wait_seconds: float) -> None:
    settings = load_settings()
    quiet_clients()
    try:
        asked = asyncio.run(_ask(settings, ask, wait_seconds))
    except PoisonError as error:
        fail(error.reason, 2)
    except KafkaError as error:
        fail(f"Kafka at {settings.bootstrap} has not confirmed the command: {error or type(error).__name__}")
    except RegistryError as error:
        fail(f"the schema registry at {settings.schema_registry_url}: {error}")
    if asked.answer is None:
        fail(
            f"no worker has answered within {seconds:g} s: is one running? The command {asked.request_id} is on Kafka, "
            "and will be carried out when one is"
        )
    out.print(sentence(asked.answer), markup=False)
    if asked.answer["outcome"] not in DONE:
        raise typer.Exit(1)


async def _ask(settings: Settings, ask: Ask, wait_seconds: float) -> Asked:
    await wait_for_kafka(settings, wait_seconds, say)
    await ensure_topics(settings)
    async with ScheduleCommands(settings, open_codec(settings)) as commands:
        return await ask(commands)


def sentence(answer: ScheduleAnswer) -> str:
    """Return an answer as a person reads it: the outcome, then what it means."""
    ended_at = answer.get("ended_at")
    when = "" if ended_at is None else f" at {shown(ended_at)}"
    match answer["outcome"]:
        case "CANCELLED":
            said = f"it was due at {shown(answer.get('due_at_before'))}"
        case "MOVED":
            said = f"due at {shown(answer.get('due_at_after'))} instead of {shown(answer.get('due_at_before'))}"
        case "ALREADY_RELEASED":
            said = f"it was released{when}" if when else "it is being delivered, and waits for its next attempt"
        case "ALREADY_CANCELLED":
            said = f"it was cancelled{when}"
        case "ALREADY_EXPIRED":
            said = f"it was of no use any more{when}"
        case "WOULD_EXPIRE":
            said = f"it would be of no use any more then; it stays due at {shown(answer.get('due_at_before'))}"
        case "UNKNOWN_ID":
            until = answer.get("holds_until")
            said = "nothing of this id is pending, and nothing ended under it within 24 hours"
            said += "" if until is None else f"; should it still come, before {shown(until)}, it is cancelled then"
    return f"{answer['outcome']}: {said}"
