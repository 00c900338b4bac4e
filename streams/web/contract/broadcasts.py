"""Broadcasts: starting them, where they stand, and commands to pause, resume and cancel them."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from schemas.records import BroadcastAudience, BroadcastPhase
from streams.publish.broadcast_lines import BroadcastFields
from streams.publish.names import BroadcastId
from streams.web.contract.operation import Answer, Body, Operation
from streams.web.contract.parameters import Limit, Query
from streams.web.contract.schedule import COMMAND_BYTES_MAX, CommandBody
from streams.web.contract.shown import Ms, Shown

BROADCAST_BODY_BYTES_MAX: Final = 4 * 1024 * 1024


class BroadcastCounts(Shown):
    """Users of a broadcast."""

    seen: int
    matched: int
    not_matched: int
    emitted: int


Whole = Literal["STARTING", "RUNNING", "PAUSED", "DONE", "CANCELLED", "EXPIRED", "REFUSED", "LOADING"]


class BroadcastListed(BroadcastCounts):
    """Where a broadcast stands."""

    broadcast_id: str
    state: Whole
    reason: str
    started_at: Ms
    changed_at: Ms
    users: int | None = Field(description="Null until all partitions have counted theirs.")
    told_per_second: float = Field(0, description="While it runs.")
    seconds_left: float | None = Field(None, description="While it runs, and once all users are counted.")
    waits_for: list[str] = Field([], description="What it waits for, if it does.")
    type: str = ""
    audience: BroadcastAudience = "ALL"
    dry_run: bool = False


class BroadcastPartition(BroadcastCounts):
    """Where it stands in one partition."""

    state: BroadcastPhase
    reason: str
    started_at: Ms
    changed_at: Ms
    users: int | None
    seen_per_second: float
    told_per_second: float
    waits_for: str = ""


class BroadcastInFull(BroadcastListed):
    """One broadcast, as it was asked for and where it stands, by partition too."""

    requested_at: Ms = 0
    requested_by: str = ""
    filter: str | None = None
    per_second: int | None = None
    send_at: Ms | None = None
    expires_at: Ms | None = None
    send_at_local: str | None = None
    time_zone: str | None = None
    title: str | None = None
    body: str | None = None
    data: dict[str, str] = Field(default_factory=dict)
    partitions: dict[str, BroadcastPartition]


class Broadcasts(Shown):
    """The broadcasts that are known, the newest first."""

    broadcasts: list[BroadcastListed]
    more: bool


class BroadcastTaken(Shown):
    """A broadcast that Kafka has."""

    broadcast_id: str
    url: str


class UsersTaken(Shown):
    """Users of a list that Kafka has."""

    broadcast_id: str
    users: int


class BroadcastCommanded(BroadcastCounts):
    """What all partitions have answered."""

    broadcast_id: str
    request_id: str
    state: Whole


class BroadcastCommandUnderWay(Shown):
    """Kafka has it, and some partitions have not answered in time."""

    broadcast_id: str
    request_id: str
    state: None


class BroadcastBody(BroadcastFields):
    """A broadcast. Its id may stand in the header Idempotency-Key instead."""

    broadcast_id: BroadcastId | None = None


class BroadcastsQuery(Query):
    """How many."""

    limit: Limit = 100


ONE = "/broadcasts/{id}"
COMMANDED = {
    200: Answer("All partitions have answered.", BroadcastCommanded),
    202: Answer("It is on Kafka, and some partitions have not answered in time.", BroadcastCommandUnderWay),
}
COMMAND = Body(CommandBody, COMMAND_BYTES_MAX, {"ops": {"requested_by": "ops"}}, required=False)


def _command(name: str, summary: str) -> Operation:
    path = f"{ONE}/{name}"
    failures = (404, 413, 415, 503)
    return Operation(
        "POST", path, f"{name}Broadcast", "broadcasts", "admin", summary, COMMANDED, failures, body=COMMAND
    )


OPERATIONS = (
    Operation(
        "GET",
        "/broadcasts",
        "broadcasts",
        "broadcasts",
        "read",
        "The broadcasts that are known",
        {200: Answer("The newest first.", Broadcasts)},
        (503,),
        query=BroadcastsQuery,
    ),
    Operation(
        "POST",
        "/broadcasts",
        "startBroadcast",
        "broadcasts",
        "admin",
        "Tell all users, a list, or those that a filter matches",
        {202: Answer("All partitions have it.", BroadcastTaken, headers=("Location",))},
        (409, 413, 415, 429, 503),
        headers=("Idempotency-Key",),
        body=Body(
            BroadcastBody,
            BROADCAST_BODY_BYTES_MAX,
            {
                "all": {"broadcast_id": "spring-sale", "type": "news", "audience": "all", "data": {"percent": "20"}},
                "filter": {
                    "broadcast_id": "tenth",
                    "type": "news",
                    "audience": "filter",
                    "filter": "bucket < 10",
                    "dry_run": True,
                },
                "list": {"broadcast_id": "three", "type": "news", "audience": "list", "users": ["alice", "bob", "eva"]},
            },
        ),
    ),
    Operation(
        "GET",
        ONE,
        "broadcast",
        "broadcasts",
        "read",
        "Where a broadcast stands",
        {200: Answer("By partition too.", BroadcastInFull)},
        (404, 503),
    ),
    Operation(
        "POST",
        f"{ONE}/users",
        "listUsers",
        "broadcasts",
        "admin",
        "List users of a broadcast that is started later",
        {202: Answer("Kafka has them.", UsersTaken)},
        (409, 415, 429, 503),
        "One user_id a line, as it is or as a JSON text; the list may be as long as it likes and is read as it comes.",
        body=Body(str, 0, {"three": "alice\nbob\neva\n"}, media_type="text/plain"),
    ),
    _command("pause", "Pause a broadcast"),
    _command("resume", "Let a broadcast go on"),
    _command("cancel", "End a broadcast"),
)
