"""`ringonce audit`: read the record and say whether the promise was kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from rich.table import Table

from streams.audit.auditor import AuditOptions, Auditor
from streams.audit.reading import RecordUnreadableError
from streams.audit.report import Report
from streams.audit.timeline import timeline
from streams.codec import open_codec
from streams.commands.terminal import WAIT_SECONDS, WaitSeconds, fail, out, quiet_clients, say
from streams.kafka_ready import wait_for_kafka
from streams.settings import Settings, load_settings
from streams.types_file import NotificationTypes

LINES_MAX = 200  # of one timeline; a slot that has more is one of a system that never rests

Instant = Annotated[str | None, typer.Option(help="An instant, ISO 8601; without an offset it is UTC.")]


def register(app: typer.Typer) -> None:
    app.command()(audit)


def audit(
    push_log: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The simulators' push log (JSON lines).")
    ] = None,
    since: Instant = None,
    until: Instant = None,
    settle: Annotated[float, typer.Option(min=0, help="Seconds: what is younger may still be under way.")] = 60.0,
    complete: Annotated[bool, typer.Option("--complete", help="Everything must have ended.")] = False,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Read events, statuses, claims and slots from Kafka, and check the promise. Exit code 1: it was not kept."""
    settings = load_settings()
    quiet_clients()
    options = AuditOptions(_milliseconds("--since", since), _milliseconds("--until", until), push_log, settle, complete)
    try:
        report, lines = asyncio.run(run_audit(settings, options, wait_seconds))
    except KafkaError as error:
        fail(f"Kafka at {settings.bootstrap} refuses: {error!r}")
    except RecordUnreadableError as error:
        fail(str(error))
    except (OSError, ValueError, KeyError) as error:
        fail(f"{push_log}: {error!r}")
    out.print(counts_table(report))
    if report.violations:
        show_violations(report, lines)
        raise typer.Exit(1)
    out.print("[bold green]kept:[/] P1 at most once, P2 claim first, P3 nothing lost, P4 bounded")


async def run_audit(settings: Settings, options: AuditOptions, wait_seconds: float) -> tuple[Report, list[str]]:
    """Audit, and read the first violation in full."""
    await wait_for_kafka(settings, wait_seconds, say)
    codec = open_codec(settings)
    report = await Auditor(settings, NotificationTypes.load(settings.types_file), options, codec).run()
    first = report.first
    return report, [] if first is None else await timeline(first, settings, codec, options.push_log)


def show_violations(report: Report, lines: list[str]) -> None:
    """Print how many there are of each kind, and the first one in full."""
    first = report.first
    assert first is not None, "there is one"
    for promise in sorted({violation.promise for violation in report.violations}):
        found = [violation for violation in report.violations if violation.promise == promise]
        out.print(f"[bold red]broken:[/] {promise}, {len(found)} times")
        for violation in found[:5]:
            out.print(f"  {violation.sentence}", markup=False)
    out.print(f"the first one: {first.promise}, {first.sentence}", markup=False)
    for line in lines[:LINES_MAX]:
        out.print(f"  {line}", markup=False)
    if len(lines) > LINES_MAX:
        out.print(f"  … and {len(lines) - LINES_MAX} more")


def counts_table(report: Report) -> Table:
    """Return what was read."""
    table = Table(title="the record", show_header=False)
    table.add_row("events", f"{report.events:,}")
    for state, count in sorted(report.final.items()):
        table.add_row(f"ended as {state}", f"{count:,}")
    for state, count in sorted(report.under_way.items()):
        table.add_row(f"open: {state}", f"{count:,}")
    table.add_section()
    table.add_row("slots", f"{report.slots:,}")
    table.add_row("claims for devices", f"{report.claims:,}")
    if report.pushes is not None:
        table.add_row("pushes in the log", f"{report.pushes:,} to {report.pushed_slots:,} slots")
    table.add_row("share of UNKNOWN", f"{100 * report.unknown_share:.2f} % of {report.states['ADMITTED']:,} admitted")
    for reason, count in report.unknown_reasons.most_common(6):
        table.add_row(f"  {reason[:60]}", f"{count:,}")
    if report.turned_away:
        table.add_row("turned away by a cap", f"{report.turned_away:,}")
    if report.state.capped_users:
        table.add_row("users in the window of a cap", f"{report.state.capped_users:,}")
    table.add_row("dead letters", f"{report.dead_letters:,}")
    kept = report.state
    table.add_row("slots active, unswept", f"{kept.active:,}, {kept.unswept:,}")
    table.add_row("ids remembered", f"{kept.ids:,} in {kept.blocks:,} blocks, {kept.blocks_unswept:,} unswept")
    table.add_row("seconds", f"{report.seconds:.1f}")
    return table


def _milliseconds(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{name}: must be an instant like 2026-01-31T12:00:00Z, is {text}", 2)
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)
