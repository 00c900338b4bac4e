"""`ringonce audit-log`: what admins did, and who was refused."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaError
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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of lines.")] = False,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Show what was done on the web views and by commands, and what was refused, read from Kafka."""
    quiet_clients()
    settings = load_settings()
    try:
        page = asyncio.run(_read(settings, limit, before, wait_seconds))
    except (KafkaError, RecordUnreadableError) as error:
        fail(f"Kafka at {settings.bootstrap}: {error!r}")
    if as_json:
        out.print_json(json.dumps({"entries": page.entries, "before": page.before}))
        return
    for entry in page.entries:
        out.print(Text(_line(entry)))
    if page.before is not None:
        say(f"older ones: --before {page.before}")


def _line(entry: Mapping[str, Any]) -> str:
    if "unreadable" in entry:
        return f"offset {entry['offset']} cannot be read: {entry['unreadable']}"
    who = f"{entry['key_name']} ({entry['key_id'] or entry['by']})" if entry["key_name"] else entry["by"]
    outcome = entry["outcome"] + ("" if entry["status"] is None else f" {entry['status']}")
    line = f"{shown(entry['at'])}  {outcome:<12}  {entry['action']:<18}  {who} at {entry['address']}: "
    line += f"{entry['method']} {entry['target']}" + (f" — {entry['detail']}" if entry["detail"] else "")
    # What was asked for is of strangers: what moves the cursor is not shown.
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", line)


async def _read(settings: Settings, limit: int, before: int | None, wait_seconds: float) -> AuditPage:
    await wait_for_kafka(settings, wait_seconds, say)
    return await read_page(settings, open_codec(settings), limit, before)
