"""`ringonce explain`: why a notification was sent or not, what blocks its slot, what would happen to one sent now."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from streams.commands.asking import get, shown, worker_url
from streams.commands.terminal import fail, out
from streams.publish.letter_document import read_place
from streams.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    user: Annotated[str | None, typer.Argument(metavar="USER", help="The user_id.")] = None,
    type: Annotated[str | None, typer.Argument(metavar="TYPE", help="The type.")] = None,
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Which one; default: the last one.")] = None,
    event: Annotated[
        str | None,
        typer.Option(metavar="PARTITION@OFFSET", help="The event at this place of `notifications`, instead of a user."),
    ] = None,
    url: Annotated[str | None, typer.Option(help="Web address of any worker; default: that of the settings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of sentences.")] = False,
) -> None:
    """Say why the last notification of a user and type, or one of them, was sent or not; what blocks the next one until
    when; and what would happen to one sent now."""
    query = _query(user, type, id, event)
    base = url or worker_url(load_settings())
    found = get(f"{base}/explain", query)
    if as_json:
        out.print_json(json.dumps(found))
        return
    for line in lines(found):
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def _query(user: str | None, type: str | None, id: str | None, event: str | None) -> dict[str, str]:
    if event is not None:
        if user is not None or id is not None:
            fail("--event stands for itself: leave USER, TYPE and --id away", 2)
        try:
            partition, offset = read_place(event)
        except ValueError as error:
            fail(f"--event: {error}", 2)
        return {"partition": str(partition), "offset": str(offset)}
    if user is None or type is None:
        fail("name USER and TYPE, or an event with --event", 2)
    return {"user": user, "type": type, **({} if id is None else {"id": id})}


def lines(found: dict[str, Any]) -> list[str]:
    """Return an explanation for people: the event, the slot, and what would happen now, each in a sentence."""
    event = found["notification"]
    said = ["Nothing was decided on for this slot lately." if event is None else event["sentence"]]
    if event is not None:
        place = event["event"]
        said[0] += f" ({event['code']}, {place['topic']}-{place['partition']}@{place['offset']})"
        if event.get("dead_letter"):
            letter = event["dead_letter"]
            said.append(f"The letter is on {letter['topic']}, partition {letter['partition']}: ringonce dead-letters.")
    for name in ("slot", "now"):
        part = found.get(name)
        if part is not None:
            until = "" if part["until"] is None else f" (until {shown(part['until'])})"
            said.append(part["sentence"][0].upper() + part["sentence"][1:] + until)
    return said
