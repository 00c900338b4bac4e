"""The history: searching what happened for longer than topics and tables keep it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from schemas.records import EventState, State
from streams.history.queries import read_place
from streams.publish.lines import Instant
from streams.publish.names import NotificationId, TypeName, UserId
from streams.web.contract.operation import Answer, Operation
from streams.web.contract.parameters import Limit, Query
from streams.web.contract.shown import Ms, ProviderName, Shown


def _place(text: str) -> str:
    read_place(text)
    return text


PageEnd = Annotated[
    str,
    AfterValidator(_place),
    Field(
        description="Where the page before ended.",
        examples=["1798135200000:3:17"],
        json_schema_extra={"pattern": r"^-?[0-9]{1,18}:[0-9]{1,9}:[0-9]{1,18}$"},
    ),
]


class HistoryQuery(Query):
    """What is looked for; what is not given may be anything."""

    user: UserId | None = None
    type: TypeName | None = None
    state: EventState | None = Field(None, description="What the last status says.")
    id: NotificationId | None = None
    since: Instant | None = Field(None, alias="from", description="Begun at this instant or later.")
    until: Instant | None = Field(None, alias="to", description="Begun before this instant.")
    limit: Limit = 100
    after: PageEnd | None = None


class OfHistory(Shown):
    """What a status and the last status of an event have in common."""

    notification_id: str
    user_id: str
    type: str
    state: State
    reason: str
    stage: str
    at: Ms
    attempt: int
    by_notification_id: str | None = Field(description="What stands in the way.")
    until: Ms | None
    origin_partition: int
    origin_offset: int = Field(description="The place of the event on its topic, which is its identity.")
    status_partition: int
    status_offset: int


class HistoryNotification(OfHistory):
    """An event, as its last status says."""

    began_at: Ms
    admitted_at: Ms | None


class HistoryStatus(OfHistory):
    """One status, with its place on the topic."""

    provider: ProviderName | str | None
    device_id: str | None


class HistoryPage(Shown):
    """A page, newest first. It may be short, or empty, and go on all the same."""

    notifications: list[HistoryNotification]
    after: str | None = Field(description="What to ask the next page with. Null: there is none.")


class HistoryStory(Shown):
    """All statuses that are kept of a notification, in the order in which they were said."""

    statuses: list[HistoryStatus]


NONE: Final = "404: this worker finds no history; the problem says how one is kept."
OPERATIONS = (
    Operation(
        "GET",
        "/history",
        "history",
        "history",
        "read",
        "Search what happened, by user, type, state, id and time",
        {200: Answer("Newest first.", HistoryPage)},
        (404, 429, 503),
        "A search looks at 5,000 events at most. Where it has looked at so many, the page ends there, short or empty "
        f"as it may be: go on with `after` as long as there is one. {NONE}",
        query=HistoryQuery,
    ),
    Operation(
        "GET",
        "/history/{user_id}/{type}/{notification_id}",
        "historyOfOne",
        "history",
        "read",
        "Every status of one notification",
        {200: Answer("In the order in which they were said.", HistoryStory)},
        (404, 429, 503),
        NONE,
    ),
)
