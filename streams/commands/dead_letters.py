"""`ringonce dead-letters`: list what was given up, look at one, replay one or many."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced
from rich.table import Table

from schemas.registry import RegistryError
from streams.audit.reading import RecordUnreadableError
from streams.codec import open_codec
from streams.commands.terminal import WAIT_SECONDS, WaitSeconds, fail, login, out, quiet_clients, say
from streams.commands.written_down import Doing, written_down
from streams.kafka_ready import wait_for_kafka
from streams.publish.dead_letters import DeadLetters, Wanted
from streams.publish.instants import instant_ms
from streams.publish.letter_document import PLACE, letter_document, read_place
from streams.settings import Settings, load_settings
from streams.topics import ensure_topics

REPLAY_LIMIT = 10  # what kills a thousand is better found out with ten
Result = TypeVar("Result")

dead_letters = typer.Typer(help="List what was given up, look at one, replay one or many.", no_args_is_help=True)

Code = Annotated[str | None, typer.Option(help="With this code, such as REJECTED.")]
Kind = Annotated[str | None, typer.Option("--type", help="Of this notification type.")]
Id = Annotated[str | None, typer.Option("--id", help="Of the notification with this id.")]
Since = Annotated[str | None, typer.Option("--from", metavar="INSTANT", help="Given up from here, ISO 8601.")]
Until = Annotated[str | None, typer.Option("--to", metavar="INSTANT", help="Given up before, ISO 8601.")]


def register(app: typer.Typer) -> None:
    app.add_typer(dead_letters, name="dead-letters")


@dead_letters.command("list")
def list_(
    code: Code = None,
    type_: Kind = None,
    id_: Id = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """List letters, oldest first within each partition."""
    wanted = Wanted(code, type_, id_, _instant("--from", since), _instant("--to", until))
    letters = _run(lambda log: log.find(wanted, limit), wait_seconds)
    if as_json:
        out.print_json(json.dumps({"dead_letters": [letter_document(letter, whole=False) for letter in letters]}))
        return
    table = Table(box=None)
    for name in ("place", "given up", "by", "code", "type", "id", "reason"):
        table.add_column(name, overflow="fold")
    for letter in letters:
        record = letter.record
        shown = _shown(record["at"])
        id_shown = record.get("notification_id") or ""
        table.add_row(
            letter.place, shown, record["stage"], record["code"], letter.type or "", id_shown, record["reason"]
        )
    out.print(table)


@dead_letters.command()
def show(
    place: Annotated[str, typer.Argument(metavar=PLACE, help="Where it stands, as `list` shows it.")],
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Show one letter in full, as JSON; bytes in base64. Exit code 1: there is none."""
    wanted = Wanted(places=frozenset((_place(place),)))
    letters = _run(lambda log: log.find(wanted, 1), wait_seconds)
    if not letters:
        fail(f"there is no dead letter at {place}")
    out.print_json(json.dumps(letter_document(letters[0], whole=True)))


@dead_letters.command()
def replay(
    places: Annotated[list[str] | None, typer.Argument(metavar=f"[{PLACE}]…", help="These.")] = None,
    code: Code = None,
    type_: Kind = None,
    id_: Id = None,
    since: Since = None,
    until: Until = None,
    every: Annotated[bool, typer.Option("--all", help="All that there are.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = REPLAY_LIMIT,
    force: Annotated[bool, typer.Option("--force", help="Also those that died again after several replays.")] = False,
    by: Annotated[str | None, typer.Option(help="Who asks. Default: the name of this login.")] = None,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Put letters on `notifications` again, each once. Exit code 1: one was refused; its line says why."""
    chosen = frozenset(map(_place, places)) if places else None
    wanted = Wanted(code, type_, id_, _instant("--from", since), _instant("--to", until), chosen)
    if every == (wanted != Wanted()):
        fail(f"give either {PLACE}, or what to look for (--code, --type, --id, --from, --to), or --all", 2)
    requested_by = by or login()
    if len(requested_by.encode(errors="surrogatepass")) > 128:
        fail("--by: at most 128 bytes", 2)

    async def run(log: DeadLetters) -> list[Any]:
        return list(await log.replay(await log.find(wanted, limit), requested_by, force))

    chosen_by = " ".join(places) if places else "--all" if every else str(wanted)
    done = _run(run, wait_seconds, Doing("dead-letter.replay", f"dead-letters replay {chosen_by}", requested_by))
    for letter, notification_id, refused in done:
        said = f"replayed as {notification_id or 'it is'}" if refused is None else f"not replayed: {refused}"
        out.print(f"{letter.place}: {said}", markup=False)
    count = sum(refused is None for _, _, refused in done)
    say(f"{count} of {len(done)} replayed; at most {limit} are looked at in one go (--limit)")
    if count < len(done) or (chosen is not None and len(done) < len(chosen)):
        raise typer.Exit(1)


def _run(ask: Callable[[DeadLetters], Awaitable[Result]], wait_seconds: float, doing: Doing | None = None) -> Result:
    settings = load_settings()
    quiet_clients()
    try:
        return asyncio.run(_ask(settings, ask, wait_seconds, doing))
    except (ProducerFenced, InvalidProducerEpoch):
        fail("another replay of the same partition has begun; what this one had not replayed, it left")
    except KafkaError as error:
        fail(f"Kafka at {settings.bootstrap}: {error or type(error).__name__}")
    except RecordUnreadableError as error:
        fail(str(error))
    except RegistryError as error:
        fail(f"the schema registry at {settings.schema_registry_url}: {error}")


async def _ask(
    settings: Settings, ask: Callable[[DeadLetters], Awaitable[Result]], wait_seconds: float, doing: Doing | None
) -> Result:
    await wait_for_kafka(settings, wait_seconds, say)
    await ensure_topics(settings)
    codec = open_codec(settings)
    letters = DeadLetters(settings, codec)
    if doing is None:
        return await ask(letters)
    async with written_down(settings, codec, doing):
        return await ask(letters)


def _place(text: str) -> tuple[int, int]:
    try:
        return read_place(text)
    except ValueError as error:
        fail(str(error), 2)


def _shown(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _instant(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else instant_ms(text)
    except ValueError as error:
        fail(f"{option}: {error}", 2)
