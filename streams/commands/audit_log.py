"""`ringonce audit-log`: what admins did, and who was refused."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from rich.table import Table
from rich.text import Text

from streams.audit.reading import RecordUnreadableError
from streams.codec import open_codec
from streams.commands.asking import shown
from streams.commands.terminal import WAIT_SECONDS, WaitSeconds, fail, out, quiet_clients, say
from streams.kafka_ready import wait_for_kafka
from streams.settings import Settings, load_settings
from streams.web.security.audit_reading import AuditPage, read_page


def register(app: typer.Typer) -> None:
    app.command("audit-log")(audit_log)


def audit_log(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many entries, the newest first.")] = 50,
    before: Annotated[int | None, typer.Option(min=1, help="Those before this offset.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Show what was done and refused on the web views, read from Kafka."""
    quiet_clients()
    settings = load_settings()
    try:
        page = asyncio.run(_read(settings, limit, before, wait_seconds))
    except (KafkaError, RecordUnreadableError) as error:
        fail(f"Kafka at {settings.bootstrap}: {error!r}")
    if as_json:
        out.print_json(json.dumps({"entries": page.entries, "before": page.before}))
        return
    table = Table("at", "action", "outcome", "who", "address", "what", "why")
    for entry in page.entries:
        if "unreadable" in entry:
            _add(table, "", "unreadable", "", "", "", f"offset {entry['offset']}", entry["unreadable"])
            continue
        who = f"{entry['key_name']} ({entry['key_id']})" if entry["key_id"] else entry["by"]
        status = "" if entry["status"] is None else f" {entry['status']}"
        what = f"{entry['method']} {entry['target']}"
        row = (f"{entry['outcome']}{status}", who, entry["address"], what, entry["detail"])
        _add(table, shown(entry["at"]), entry["action"], *row)
    out.print(table)
    if page.before is not None:
        say(f"older ones: --before {page.before}")


def _add(table: Table, *cells: str) -> None:
    # What was asked for is of strangers: what looks like markup in it is shown, and what moves the cursor is not.
    table.add_row(*(Text(re.sub(r"[\x00-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", cell)) for cell in cells))


async def _read(settings: Settings, limit: int, before: int | None, wait_seconds: float) -> AuditPage:
    await wait_for_kafka(settings, wait_seconds, say)
    return await read_page(settings, open_codec(settings), limit, before)
