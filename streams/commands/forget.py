"""`ringonce forget`: remove everything of a user."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer
from aiokafka.errors import KafkaError

from schemas.poison import PoisonError
from schemas.registry import RegistryError
from streams.codec import open_codec
from streams.commands.terminal import WAIT_SECONDS, WaitSeconds, fail, login, out, quiet_clients, say
from streams.commands.written_down import Doing, written_down
from streams.kafka_ready import wait_for_kafka
from streams.publish.erasure_document import erasure_document
from streams.publish.schedule_commands import Forgotten, ScheduleCommands
from streams.settings import Settings, load_settings
from streams.topics import ensure_topics


def register(app: typer.Typer) -> None:
    app.command()(forget)


def forget(
    user: Annotated[str, typer.Argument(help="The user_id.")],
    requested_by: Annotated[str | None, typer.Option(help="Who asks; default: whoever is logged in.")] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="Wait for the answers for so long.")] = 30.0,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Remove profile, devices, preferences, history and what is scheduled of a user, and say what was removed.

    Exit code 1: some partitions have not answered in time, where it will be done all the same, or are behind.
    """
    quiet_clients()
    settings = load_settings()
    try:
        done = asyncio.run(_forget(settings, user, requested_by or login(), seconds, wait_seconds))
    except PoisonError as error:
        fail(error.reason, 2)
    except (KafkaError, RegistryError) as error:
        fail(f"Kafka at {settings.bootstrap}: {error!r}")
    out.print_json(json.dumps(erasure_document(user, done, settings)))
    if done.pending:
        fail(f"{len(done.pending)} partitions have not answered within {seconds:g} s; ask again to see what they did")
    if done.unread:
        fail(
            f"{done.unread} records that were there before had not been read: what they bring of this user comes after "
            "the erasure; ask again when the workers have caught up"
        )


async def _forget(settings: Settings, user: str, requested_by: str, seconds: float, wait_seconds: float) -> Forgotten:
    await wait_for_kafka(settings, wait_seconds, say)
    await ensure_topics(settings)
    codec, doing = open_codec(settings), Doing("user.erase", f"forget {user}", requested_by)
    async with written_down(settings, codec, doing), ScheduleCommands(settings, codec) as commands:
        return await commands.forget(user, requested_by, seconds)
