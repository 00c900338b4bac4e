"""`ringonce template`: check templates, try them out, publish them, list what counts."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaError
from pydantic import ValidationError
from rich.table import Table

from schemas.codec import Codec
from schemas.keys import check_type
from schemas.poison import PoisonError
from schemas.registry import RegistryError
from streams.codec import open_codec
from streams.commands.terminal import WAIT_SECONDS, WaitSeconds, err, fail, login, named_values, out, quiet_clients, say
from streams.commands.written_down import Doing, written_down
from streams.kafka_ready import wait_for_kafka
from streams.policies.rendering import RenderFailed, TypeTemplate
from streams.publish.messages import RECORD_OVERHEAD_BYTES, Message
from streams.publish.publisher import Publisher
from streams.settings import Settings, load_settings
from streams.templates.checking import Checked, check
from streams.templates.documents import TemplateDocument, TemplatesError, record_of
from streams.templates.folder import SUFFIX, TemplateFolder, read_file, template_files
from streams.templates.follower import TemplateFollower, TemplatesUnreadError
from streams.templates.library import TemplateLibrary
from streams.templates.listing import template_document
from streams.templates.preview import Preview, preview_document, previewed
from streams.topics import RECORD_BYTES_MAX, TopicNames, ensure_topics
from streams.types_file import NotificationTypes
from streams.violations import sentence

template = typer.Typer(help="Check templates, try them out, publish them, list what counts.", no_args_is_help=True)

Folder = Annotated[Path | None, typer.Option("--dir", help="Folder of templates. Default: RINGONCE_TEMPLATES_DIR.")]
OfTopic = Annotated[bool, typer.Option("--topic", help="With what is published on the topic, as a worker has it.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]


def register(app: typer.Typer) -> None:
    app.add_typer(template, name="template")


@template.command("check")
def check_(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Default: RINGONCE_TEMPLATES_DIR.")] = None,
) -> None:
    """Compile all templates of a folder and render them with sample values. Exit code 1: one line for each mistake."""
    settings = load_settings()
    paths = _files_of(folder or settings.templates_dir)
    _checked(paths, settings)


@template.command()
def render(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="The notification type.")],
    locale: Annotated[str | None, typer.Option(help="The reader's locale, such as de-AT.")] = None,
    provider: Annotated[str | None, typer.Option(help="apns, fcm or webpush.")] = None,
    data: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Value of the event; repeat it.")] = None,
    user_profile: Annotated[Path | None, typer.Option(help="The reader's profile, a JSON object.")] = None,
    user: Annotated[str, typer.Option(help="The reader's user_id.")] = "user",
    time_zone: Annotated[str, typer.Option(help="The reader's zone, such as Europe/Berlin.")] = "UTC",
    folder: Folder = None,
    topic: OfTopic = False,
    as_json: AsJson = False,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Show what a reader would see. Exit code 1: nothing, and why."""
    settings = load_settings()
    asked = {"type": type_, "locale": locale, "provider": provider, "user_id": user, "time_zone": time_zone}
    profile = {} if user_profile is None else _json_object(user_profile)
    try:
        check_type(type_.encode("utf-8", "surrogatepass"))
        preview = Preview.model_validate({**asked, "data": named_values("--data", data or []), "profile": profile})
    except PoisonError as error:
        fail(error.reason, 2)
    except ValidationError as error:
        lines = [f"--{str(each['loc'][0]).replace('_', '-')}: {sentence(each)}" for each in error.errors()]
        fail("; ".join(lines), 2)
    template, text = previewed(_library(settings, folder, topic, wait_seconds), preview)
    if isinstance(text, RenderFailed):
        fail(text.reason)
    document = preview_document(template, text)
    if as_json:
        out.print_json(json.dumps(document))
        return
    for name in ("title", "body", "image", "link"):
        if document[name]:
            out.print(f"{name}: {document[name]}", markup=False)
    for name, value in document["data"].items():
        out.print(f"data.{name}: {value}", markup=False)
    assert isinstance(template, TypeTemplate), "there is a text"
    say(template.label)


@template.command("list")
def list_(
    folder: Folder = None,
    topic: Annotated[bool, typer.Option(help="With what is published on the topic.")] = True,
    as_json: AsJson = False,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """List the types and the template that counts for each: that of the topic, the folder or the types file."""
    settings = load_settings()
    library = _library(settings, folder, topic, wait_seconds)
    documents = [template_document(template, refused, whole=as_json) for template, refused in library.listed()]
    if as_json:
        out.print_json(json.dumps({"templates": documents}))
        return
    table = Table(box=None)
    for name in ("type", "source", "version", "variants", "uses", "refused"):
        table.add_column(name, overflow="fold")
    for each in documents:
        variants = ", ".join(_short(variant) for variant in each["variants"])
        uses = ", ".join(each.get("uses", ()))
        table.add_row(each["type"], each["source"], each["version"] or "", variants, uses, each["refused"] or "")
    out.print(table)


@template.command()
def publish(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[DIR|FILE]…", help="Folders, or <type>.toml.")] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="TYPE", help="Take a type off the topic.")] = None,
    by: Annotated[str | None, typer.Option(help="Who publishes. Default: the name of this login.")] = None,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Check templates, then put them on the topic: every worker takes them up while it works, all or none of a type."""
    settings = load_settings()
    files = [file for path in paths or [] for file in (_files_of(path) if path.is_dir() else [path])]
    if not files and not remove:
        files = _files_of(settings.templates_dir)
    documents = _checked(files, settings)
    quiet_clients()
    codec, topic = open_codec(settings), TopicNames.of(settings).templates
    now, published_by = time.time_ns() // 1_000_000, by or login()
    words = " ".join([*(each.type for each in documents), *(f"--remove {kind}" for kind in remove or [])])
    doing = Doing("template.publish", f"template publish {words}", published_by)
    try:
        messages = [_removal(kind) for kind in remove or []]
        for document in documents:
            value = codec.encode("Template", dict(record_of(document, now, published_by)), topic)
            if len(value) + RECORD_OVERHEAD_BYTES > RECORD_BYTES_MAX:
                fail(f"{document.type}: has {len(value):,} bytes, Kafka takes {RECORD_BYTES_MAX:,} at most")
            messages.append(Message(document.type.encode(), value))
        asyncio.run(_publish(settings, codec, doing, messages, wait_seconds))
    except KafkaError as error:
        fail(f"Kafka at {settings.bootstrap} has not confirmed everything: {error or type(error).__name__}")
    except RegistryError as error:
        fail(f"the schema registry at {settings.schema_registry_url}: {error}")
    for kind in remove or []:
        out.print(f"{kind}: removed from {topic}", markup=False)
    for document in documents:
        out.print(f"{document.type}: version {document.version} published to {topic}", markup=False)


def _checked(paths: list[Path], settings: Settings) -> list[TemplateDocument]:
    """The templates of these files; ends the command with a line for each mistake where there is one."""
    types = NotificationTypes.load(settings.types_file)
    documents: list[TemplateDocument] = []
    lines: list[str] = []
    found: list[Checked] = []
    for path in paths:
        try:
            document = read_file(path)
        except TemplatesError as error:
            lines += error.lines
            continue
        result = check(document, types, settings.locale)
        lines += [f"{path.name}: {line}" for line in result.mistakes]
        documents.append(document)
        found.append(result)
    for line in lines:
        err.print(line, markup=False)
    for result in found:
        if not result.mistakes:
            uses = f"uses {', '.join(result.uses)}" if result.uses else "uses no values"
            say(f"{result.type}: {result.variants} variants, {uses}")
    if lines:
        raise typer.Exit(1)
    return documents


def _files_of(folder: Path | None) -> list[Path]:
    if folder is None:
        fail("give a folder, or set RINGONCE_TEMPLATES_DIR", 2)
    try:
        files = list(template_files(folder))
    except OSError as error:
        fail(f"{folder}: cannot be read: {error.strerror}", 2)
    if not files:
        fail(f"{folder}: there is no <type>{SUFFIX} in it", 2)
    return files


def _library(settings: Settings, folder: Path | None, topic: bool, wait_seconds: float) -> TemplateLibrary:
    library = TemplateLibrary(NotificationTypes.load(settings.types_file), settings.locale)
    path = folder or settings.templates_dir
    if path is not None:
        TemplateFolder(path, library).load(strict=True)
    if topic:
        load_topic(settings, library, wait_seconds)
    return library


def load_topic(settings: Settings, library: TemplateLibrary, wait_seconds: float) -> None:
    """Read what is published into a library; ends the command where that does not work."""
    quiet_clients()

    async def read() -> None:
        await wait_for_kafka(settings, wait_seconds, say)
        await ensure_topics(settings)
        follower = TemplateFollower(settings, open_codec(settings), library)
        try:
            await follower.load()
        finally:
            await follower.close()

    try:
        asyncio.run(read())
    except KafkaError as error:
        fail(f"Kafka at {settings.bootstrap}: {error or type(error).__name__}")
    except RegistryError as error:
        fail(f"the schema registry at {settings.schema_registry_url}: {error}")
    except TemplatesUnreadError as error:
        fail(str(error))


async def _publish(
    settings: Settings, codec: Codec, doing: Doing, messages: list[Message], wait_seconds: float
) -> None:
    await wait_for_kafka(settings, wait_seconds, say)
    await ensure_topics(settings)
    topic = TopicNames.of(settings).templates
    async with written_down(settings, codec, doing), Publisher(settings, topic) as publisher:
        for message in messages:
            await publisher.publish(message)
        await publisher.flush()


def _removal(kind: str) -> Message:
    try:
        key = kind.encode("utf-8", "surrogatepass")
        check_type(key)
    except PoisonError as error:
        fail(f"--remove: {error.reason}", 2)
    return Message(key, None)


def _short(variant: dict[str, Any]) -> str:
    return "/".join(each for each in (variant["locale"] or "any", variant["provider"]) if each)


def _json_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"--user-profile: {path}: {error.strerror}", 2)
    except (ValueError, RecursionError) as error:
        fail(f"--user-profile: {path}: is not JSON: {error}", 2)
    if not isinstance(found, dict):
        fail(f"--user-profile: {path}: must be a JSON object", 2)
    return found
