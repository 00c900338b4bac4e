"""`ringonce doctor`: is everything there that a worker needs, and what to do where it is not."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer
from aiokafka.errors import KafkaError

from streams.commands.terminal import out, quiet_clients
from streams.doctor.clocks import check_clocks
from streams.doctor.cluster import check_cluster
from streams.doctor.finding import Finding, Health, fail, ok
from streams.doctor.machine import check_machine
from streams.doctor.outside import check_outside
from streams.doctor.texts import check_texts
from streams.kafka_ready import KafkaUnreachableError, wait_for_kafka
from streams.settings import Settings, SettingsError, load_settings

COLOURS = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "bold red", Health.SKIP: "dim"}
KAFKA_SECONDS = 5.0


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of lines.")] = False,
    wait_seconds: Annotated[float, typer.Option(min=0, help="How long to wait for Kafka.")] = KAFKA_SECONDS,
) -> None:
    """Check broker, topics, clocks, schemas, credentials, disk, and say what to do. Exit code 1: something fails."""
    settings = load_settings()
    quiet_clients()
    findings = asyncio.run(examine(settings, wait_seconds))
    if as_json:
        out.print_json(json.dumps([finding._asdict() for finding in findings]))
    else:
        show(findings)
    if any(finding.health is Health.FAIL for finding in findings):
        raise typer.Exit(1)


def show(findings: list[Finding]) -> None:
    """Print each finding, and below it what to do."""
    for finding in findings:
        out.print(f"[{COLOURS[finding.health]}]{finding.health.value:>4}[/]", f"{finding.area}:", end=" ")
        out.print(finding.found, markup=False)
        if finding.todo:
            out.print(f"       → {finding.todo}", markup=False)
    counts = {health: sum(finding.health is health for finding in findings) for health in Health}
    out.print(", ".join(f"{count} {health.value}" for health, count in counts.items() if count))


async def examine(settings: Settings, wait_seconds: float) -> list[Finding]:
    """Return what all checks found; none of them keeps another from being made."""
    findings = [*check_machine(settings), *check_texts(settings)]
    findings += [finding async for finding in check_outside(settings)]
    try:
        await wait_for_kafka(settings, wait_seconds, lambda _: None)
    except (KafkaUnreachableError, SettingsError) as error:
        todo = "is the address right, does it run, and may this machine reach it?"
        return [fail("broker", str(error), todo), *findings]
    reached = ok("broker", f"Kafka at {settings.bootstrap} answers")
    try:
        of_cluster = [finding async for finding in check_cluster(settings)]
        of_cluster += await check_clocks(settings)
    except KafkaError as error:
        todo = "allow Describe on the cluster and on the topics, or see the brokers' logs"
        return [reached, fail("broker", f"it refuses: {error!r}", todo), *findings]
    return [reached, *of_cluster, *findings]
