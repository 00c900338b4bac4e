"""Health, metrics and slots: what a worker tells of itself and of who holds what."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from schemas.records import SlotPhase
from streams.web.contract.operation import Answer, Operation
from streams.web.contract.shown import Ms, Shown


class Live(Shown):
    """The process answers."""

    live: bool


class Ready(Shown):
    """The worker has its partitions."""

    ready: bool
    partitions: dict[str, list[int]] = Field(description="By stage.")


class Holder(Shown):
    """A notification that holds a place of a slot."""

    notification_id: str
    phase: SlotPhase
    admitted_at: Ms
    send_by: Ms = Field(description="The last instant at which a request for it may start.")
    blocked_until: Ms
    suppressed_since: int | None = Field(
        description="How many were suppressed because of it since it was admitted. Null: nobody has counted."
    )


class Slot(Shown):
    """Who holds a slot, and until when."""

    user_id: str
    type: str
    partition: int
    limit: int = Field(description="Places of a slot of this type.")
    free_places: int
    holders: list[Holder]


OPERATIONS = (
    Operation(
        "GET",
        "/health/live",
        "live",
        "worker",
        "public",
        "Whether the process answers",
        {200: Answer("It does.", Live)},
    ),
    Operation(
        "GET",
        "/health/ready",
        "ready",
        "worker",
        "public",
        "Whether the worker has its partitions",
        {200: Answer("They are recovered and worked on.", Ready)},
        (503,),
    ),
    Operation(
        "GET",
        "/metrics",
        "metrics",
        "worker",
        "read",
        "What this worker has counted",
        {200: Answer("In the text format of Prometheus.", None, "text/plain")},
    ),
    Operation(
        "GET",
        "/openapi.json",
        "openapi",
        "worker",
        "public",
        "This document",
        {200: Answer("OpenAPI 3.1.", dict[str, Any])},
    ),
    Operation(
        "GET",
        "/docs",
        "docs",
        "worker",
        "public",
        "This document as a page",
        {200: Answer("For people.", None, "text/html")},
    ),
    Operation(
        "GET",
        "/docs/{name}",
        "docsFile",
        "worker",
        "public",
        "A file of that page",
        {200: Answer("How it looks.", None, "text/css")},
        (404,),
    ),
    Operation(
        "GET",
        "/slots/{user_id}/{type}",
        "slot",
        "slots",
        "read",
        "Who holds a slot, and until when",
        {200: Answer("Its holders.", Slot)},
        (404, 503),
        "404: nobody holds it, and its words say what would become of a notification that is sent now. Any worker "
        "answers; while the partition moves it says 503, never a wrong 404.",
    ),
)
