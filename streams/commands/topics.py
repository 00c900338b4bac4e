"""`ringonce topics`: create the topics and compare them with what they must be."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from aiokafka.errors import KafkaError

from streams.commands.terminal import WAIT_SECONDS, WaitSeconds, err, fail, out, quiet_clients, say
from streams.kafka_ready import wait_for_kafka
from streams.settings import Settings, load_settings
from streams.topics import TopicsReport, ensure_topics, topic_specs


def register(app: typer.Typer) -> None:
    app.command()(topics)


def topics(
    check: Annotated[bool, typer.Option("--check", help="Only compare; create nothing.")] = False,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Create the topics that are missing, and say where one is not as it must be (exit code 1)."""
    settings = load_settings()
    quiet_clients()
    try:
        report = asyncio.run(_ensure(settings, create=not check, wait_seconds=wait_seconds))
    except KafkaError as error:
        fail(f"Kafka at {settings.bootstrap} refuses: {error}")
    for name in report.created:
        out.print(f"created {name}", markup=False)
    for difference in report.differences:
        err.print(difference, markup=False)
    if report.differences:
        fail(f"{len(report.differences)} differences; an existing topic is never changed from here")
    out.print(f"{len(topic_specs(settings))} topics are as they must be, {len(report.created)} of them new")


async def _ensure(settings: Settings, *, create: bool, wait_seconds: float) -> TopicsReport:
    await wait_for_kafka(settings, wait_seconds, say)
    return await ensure_topics(settings, create=create)
