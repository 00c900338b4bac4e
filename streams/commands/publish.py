"""`ringonce publish`: one notification from options, many from a file or a pipe, or what is known of users."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaError
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from schemas.registry import RegistryError
from streams.codec import open_codec
from streams.commands.template import load_topic
from streams.commands.terminal import WAIT_SECONDS, WaitSeconds, err, fail, named_values, out, quiet_clients, say
from streams.kafka_ready import wait_for_kafka
from streams.publish.instants import duration_ms, instant_ms
from streams.publish.messages import Encoder, Message, Refused
from streams.publish.publisher import Publisher
from streams.publish.source import Lines, Source, chunks, open_source
from streams.settings import Settings, load_settings
from streams.templates.folder import TemplateFolder
from streams.templates.library import TemplateLibrary
from streams.templates.prerender import Prerender
from streams.topics import TopicNames
from streams.types_file import NotificationTypes

REFUSALS_SHOWN = 20  # A file with the wrong columns has as many mistakes as lines.


def register(app: typer.Typer) -> None:
    app.command()(publish)


def publish(
    user: Annotated[str | None, typer.Option(help="Who is told.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="What kind of notification.")] = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="Its id; the same id within 24 h is a duplicate. Default: a new one.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title; default: from the template of the type.")] = None,
    body: Annotated[str | None, typer.Option(help="Text; default: from the template of the type.")] = None,
    data: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Value for the template and the app; repeat it.")
    ] = None,
    send_at: Annotated[str | None, typer.Option(metavar="INSTANT", help="Not before, ISO 8601.")] = None,
    send_in: Annotated[str | None, typer.Option("--in", metavar="DURATION", help="Not before: 10m, 1h30m, 2d.")] = None,
    send_at_local: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Not before this local time, 2026-12-24T18:00, in the zone of the user."),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Zone of --send-at-local instead, such as Europe/Berlin.")
    ] = None,
    expires_at: Annotated[str | None, typer.Option(metavar="INSTANT", help="Useless after, ISO 8601.")] = None,
    expires_in: Annotated[str | None, typer.Option(metavar="DURATION", help="Useless after: 10m, 2d.")] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Many: .jsonl or .csv, or - for JSON lines from a pipe.")
    ] = None,
    devices_file: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Devices instead: JSON lines with user_id and devices.")
    ] = None,
    preferences_file: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Preferences instead: JSON lines with user_id, time_zone, quiet_hours …"),
    ] = None,
    profiles_file: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Profiles instead: JSON lines with user_id, name, locale, fields …"),
    ] = None,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Put notifications on Kafka; return when it has confirmed them. Exit code 1 when a line was refused."""
    settings = load_settings()
    quiet_clients()
    complete = None if devices_file or preferences_file else _prerender(settings, wait_seconds)
    asked_at = _now_ms()
    one = {
        "notification_id": id_,
        "user_id": user,
        "type": type_,
        "title": title,
        "body": body,
        "data": named_values("--data", data or []) or None,
        "send_at": _instant("--send-at", send_at, "--in", send_in, asked_at),
        "send_at_local": send_at_local,
        "time_zone": time_zone,
        "expires_at": _instant("--expires-at", expires_at, "--expires-in", expires_in, asked_at),
    }
    one = {name: value for name, value in one.items() if value is not None}
    files = {
        "notifications": file,
        "devices": devices_file,
        "preferences": preferences_file,
        "profiles": profiles_file,
    }
    if sum(map(bool, (one, *files.values()))) != 1:
        fail(
            "give either --user and --type, or --file, or --devices-file, or --preferences-file, or --profiles-file", 2
        )
    name = "notifications" if one else next(name for name, given in files.items() if given)
    topic = TopicNames.of(settings).topic(name)
    encoder = Encoder(open_codec(settings), topic, _now_ms, complete or (lambda event: None))
    try:
        if one:
            one["created_at"] = asked_at
            refused, count = _one(settings, topic, encoder, one, wait_seconds)
        else:
            encode = {
                "notifications": encoder.event,
                "devices": encoder.devices,
                "preferences": encoder.preferences,
                "profiles": encoder.profile,
            }[name]
            refused, count = _many(settings, topic, encode, files[name] or "-", wait_seconds)
    except KafkaError as error:
        fail(f"Kafka at {settings.bootstrap} has not confirmed everything: {error or type(error).__name__}")
    except RegistryError as error:
        fail(f"the schema registry at {settings.schema_registry_url}: {error}")
    if refused:
        fail(f"{refused:,} lines were refused, {count:,} published")


def _prerender(settings: Settings, wait_seconds: float) -> Prerender | None:
    """What renders events as they are taken, with the templates that the workers have; None: no type asks for it."""
    types = NotificationTypes.load(settings.types_file)
    library = TemplateLibrary(types, settings.locale)
    prerender = Prerender(types, library, settings.time_zone)
    if not prerender.is_needed:
        return None
    if settings.templates_dir is not None:
        TemplateFolder(settings.templates_dir, library).load(strict=True)
    load_topic(settings, library, wait_seconds)
    return prerender


def _one(settings: Settings, topic: str, encoder: Encoder, values: dict[str, Any], wait: float) -> tuple[int, int]:
    try:
        message = encoder.event(values)
    except ValueError as error:
        fail(str(error), 2)
    asyncio.run(_publish(settings, topic, iter([message]), wait))
    out.print(f"published to {topic}: {message.key.decode()}", markup=False)
    return 0, 1


def _many(
    settings: Settings, topic: str, encode: Callable[[dict[str, Any]], Message], name: str, wait: float
) -> tuple[int, int]:
    try:
        with open_source(name) as source:
            return asyncio.run(_publish(settings, topic, source.messages(encode), wait, source))
    except OSError as error:
        if isinstance(error, KafkaError):
            raise
        fail(f"{name}: {error.strerror or error}", 2)


async def _publish(
    settings: Settings, topic: str, lines: Lines, wait: float, source: Source | None = None
) -> tuple[int, int]:
    """The numbers of refused and of confirmed lines."""
    await wait_for_kafka(settings, wait, say)
    refused, started_at = 0, time.monotonic()
    async with Publisher(settings, topic) as publisher:
        with _progress() as progress:
            task = progress.add_task("publishing", total=source.size if source else None, confirmed=0, rate=0.0)
            async for chunk in chunks(lines, of_pipe=source is not None and source.size is None):
                if not chunk:  # The pipe is silent: what came so far must not wait for more.
                    await publisher.flush()
                for line in chunk:
                    if isinstance(line, Message):
                        await publisher.publish(line)
                    else:
                        refused += 1
                        _say_refused(line, refused)
                rate = publisher.confirmed / max(time.monotonic() - started_at, 0.001)
                position = source.position if source else 0
                progress.update(task, completed=position, confirmed=publisher.confirmed, rate=rate)
            await publisher.flush()
    seconds = max(time.monotonic() - started_at, 0.001)
    say(f"{publisher.confirmed:,} published in {seconds:.1f} s ({publisher.confirmed / seconds:,.0f}/s)")
    return refused, publisher.confirmed


def _progress() -> Progress:
    """Drawn on a terminal only."""
    return Progress(
        SpinnerColumn(),
        BarColumn(),
        TextColumn("{task.fields[confirmed]:,} confirmed · {task.fields[rate]:,.0f}/s"),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def _say_refused(refused: Refused, count: int) -> None:
    if count <= REFUSALS_SHOWN:
        err.print(f"line {refused.line}: {refused.reason}", markup=False)
    elif count == REFUSALS_SHOWN + 1:
        say("more lines are refused; they are only counted")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _instant(at_option: str, at: str | None, in_option: str, duration: str | None, now: int) -> int | None:
    """The instant that one of two options gives."""
    if at is not None and duration is not None:
        fail(f"give {at_option} or {in_option}, not both", 2)
    option = in_option if at is None else at_option
    try:
        if duration is not None:
            return now + duration_ms(duration)
        return None if at is None else instant_ms(at)
    except ValueError as error:
        fail(f"{option}: {error}", 2)
