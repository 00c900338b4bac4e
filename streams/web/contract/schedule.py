"""The schedule: what waits, cancelling it and moving it."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.records import ScheduleOutcome
from streams.publish.lines import Instant
from streams.publish.names import RequestedBy, RequestId, TypeName
from streams.web.contract.operation import Answer, Body, Operation
from streams.web.contract.parameters import Limit, Query
from streams.web.contract.shown import Ms, Shown

COMMAND_BYTES_MAX: Final = 16 * 1024


class Pending(Shown):
    """What waits in the schedule."""

    notification_id: str
    user_id: str
    type: str
    due_at: Ms
    kind: Literal["notification", "retry"]


class NotificationShown(Shown):
    """An event, as it was asked for."""

    notification_id: str
    user_id: str
    type: str
    created_at: Ms
    send_at: Ms | None
    expires_at: Ms | None
    send_at_local: str | None
    time_zone: str | None
    title: str | None
    body: str | None
    data: dict[str, str]


class PendingInFull(Pending):
    """One that waits, with all that its event said."""

    origin_partition: int
    origin_offset: int
    notification: NotificationShown
    attempt: int = Field(0, description="Of a retry: the attempt that comes next.")
    send_by: Ms = Field(0, description="Of a retry.")


class PendingOfStretch(Shown):
    """What is due within a stretch of time, in due order."""

    partitions: list[int]
    complete_until: Ms | None = Field(description="Only what is due before it is complete. Null: all is.")
    notifications: list[Pending]


class PendingOfSlot(Shown):
    """What waits of one slot, in due order."""

    partition: int
    notifications: list[Pending]


class CommandAnswer(Shown):
    """What became of a command about one notification."""

    request_id: str
    notification_id: str
    user_id: str
    type: str
    outcome: ScheduleOutcome
    at: Ms
    due_at_before: Ms | None
    due_at_after: Ms | None
    ended_at: Ms | None
    holds_until: Ms | None


class CommandUnderWay(Shown):
    """A command that Kafka has, and that nobody has answered in time; it will be carried out."""

    request_id: str
    outcome: None


class StretchQuery(Query):
    """A stretch of time."""

    since: Instant | None = Field(None, alias="from", description="Due at this instant or later.")
    until: Instant | None = Field(None, alias="to", description="Due before this instant.")
    limit: Limit = 100
    type: TypeName | None = None


class CommandBody(BaseModel):
    """Who asks."""

    model_config = ConfigDict(extra="forbid", strict=True)

    requested_by: RequestedBy = ""
    request_id: RequestId | None = None


class MoveBody(CommandBody):
    """When it is to be due, and who asks."""

    due_at: Instant


COMMAND = "200 says in `outcome` what happened, whichever it is."
ONE = "/schedule/{user_id}/{type}/{notification_id}"
OPERATIONS = (
    Operation(
        "GET",
        "/schedule",
        "schedule",
        "schedule",
        "read",
        "What is due within a stretch of time, over all workers",
        {200: Answer("In due order.", PendingOfStretch)},
        (503,),
        query=StretchQuery,
    ),
    Operation(
        "GET",
        "/schedule/{user_id}/{type}",
        "scheduleOfSlot",
        "schedule",
        "read",
        "What waits of one user and type",
        {200: Answer("In due order.", PendingOfSlot)},
        (503,),
    ),
    Operation(
        "GET",
        ONE,
        "scheduled",
        "schedule",
        "read",
        "One notification that waits, in full",
        {200: Answer("It waits.", PendingInFull)},
        (404, 503),
    ),
    Operation(
        "POST",
        f"{ONE}/cancel",
        "cancel",
        "schedule",
        "send",
        "Do not send one that waits",
        {200: Answer(COMMAND, CommandAnswer), 202: Answer("No answer came in time.", CommandUnderWay)},
        (413, 415, 503),
        body=Body(CommandBody, COMMAND_BYTES_MAX, {"ops": {"requested_by": "ops"}}, required=False),
    ),
    Operation(
        "POST",
        f"{ONE}/move",
        "move",
        "schedule",
        "send",
        "Send one that waits at another time",
        {200: Answer(COMMAND, CommandAnswer), 202: Answer("No answer came in time.", CommandUnderWay)},
        (413, 415, 503),
        body=Body(MoveBody, COMMAND_BYTES_MAX, {"later": {"due_at": "2026-12-24T19:00:00Z", "requested_by": "ops"}}),
    ),
)
