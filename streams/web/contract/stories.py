"""Stories: one notification, a user's recent ones, why, and what would happen now."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from schemas.poison import DeadLetterCode
from schemas.records import State
from streams.policies.explaining import Code, SlotCode
from streams.policies.foreseeing import OutlookCode
from streams.publish.names import NotificationId, TypeName, UserId
from streams.web.contract.operation import Answer, Operation
from streams.web.contract.parameters import DIGITS_MAX, Query, whole_number
from streams.web.contract.shown import Ms, Shown
from streams.web.contract.worker import Holder, Slot

LIMIT = 20
LIMIT_MAX = 100
NUMBER_MAX = 10**DIGITS_MAX - 1
Number = Annotated[
    int,
    BeforeValidator(whole_number, json_schema_input_type=Annotated[int, Field(ge=0, le=NUMBER_MAX)]),
    Field(ge=0, le=NUMBER_MAX),
]


class PlaceShown(Shown):
    """A place on a topic."""

    topic: str
    partition: int
    offset: int | None


class LetterShown(Shown):
    """Where the dead letter of a notification is. `code`: null where its status does not say it."""

    topic: str
    partition: int
    code: DeadLetterCode | None
    reason: str


class Explained(Shown):
    """Where a notification stands, and why."""

    state: State
    reason: str
    code: Code
    sentence: str
    final: bool = Field(description="It is its end.")
    at: Ms | None = Field(description="When that was decided; null: it is told from the schedule.")
    until: Ms | None
    by_notification_id: str | None = Field(description="The one that stands in its way, or stood.")
    duplicate_of: PlaceShown | None
    event: PlaceShown = Field(description="Its event, on `notifications`.")
    dead_letter: LetterShown | None


class StatusShown(Shown):
    """A status, and its place on `statuses`."""

    state: State
    reason: str
    at: Ms
    stage: str
    attempt: int
    provider: str | None
    device_id: str | None
    by_notification_id: str | None
    until: Ms | None
    topic: str
    partition: int
    offset: int
    event: PlaceShown


class ProviderAnswer(Shown):
    """What a provider said of one device."""

    attempt: int
    provider: str | None
    device_id: str | None
    outcome: str = Field(description="ACCEPTED, NOT_SENT or UNKNOWN.")
    reason: str
    at: Ms


class Story(Explained):
    """All that is told of one notification."""

    notification_id: str
    user_id: str
    type: str
    attempts: int
    answers: list[ProviderAnswer]
    duplicates: int
    statuses: list[StatusShown]
    statuses_left_out: bool = Field(description="Only the first 500 and the last 20 are shown.")
    slot: Slot
    told_until: PlaceShown = Field(description="How far of `statuses` this is told.")


class Recent(Explained):
    """One of a user's notifications."""

    notification_id: str
    user_id: str
    type: str
    status_url: str | None = Field(description="Null: its event has no id that can be read.")
    decided_at: Ms
    cursor: str


class RecentPage(Shown):
    """A user's notifications, the newest first."""

    user_id: str
    notifications: list[Recent]
    before: str | None = Field(description="The `before` of the next page; null: there is none.")


class ExplainedEvent(Explained):
    """The notification that is explained."""

    notification_id: str | None


class SlotNow(Shown):
    """What blocks a slot now."""

    code: SlotCode
    sentence: str
    until: Ms | None
    by_notification_id: str | None
    limit: int
    free_places: int
    holders: list[Holder]


class Outlook(Shown):
    """What would happen to one sent now."""

    code: OutlookCode
    sentence: str
    until: Ms | None
    by_notification_id: str | None


class Explanation(Shown):
    """Why, in one sentence and as data."""

    sentence: str
    user_id: str | None = Field(description="Null: the event names no slot that can be read.")
    type: str | None
    notification: ExplainedEvent | None = Field(description="Null: nothing was decided on for the slot lately.")
    told_until: PlaceShown = Field(description="How far of `statuses` this is told.")
    slot: SlotNow | None = None
    now: Outlook | None = None


class RecentQuery(Query):
    """Which page."""

    limit: Annotated[
        int,
        BeforeValidator(whole_number, json_schema_input_type=Annotated[int, Field(ge=1, le=LIMIT_MAX)]),
        Field(ge=1, le=LIMIT_MAX, description="At most so many."),
    ] = LIMIT
    before: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}\.[0-9]{1,18}\.[0-9]{1,18}$")] | None = Field(
        None, description="`before` of the page before."
    )
    fresh: Literal["true", "false"] = Field("false", description="Wait until all that there is by now is told.")


class ExplainQuery(Query):
    """A slot, and perhaps one of its ids; or, instead, the event at a place of `notifications`."""

    user: UserId | None = None
    type: TypeName | None = None
    id: NotificationId | None = Field(None, description="Which one; without it the last one.")
    partition: Number | None = Field(None, description="With `offset`, instead of `user`, `type` and `id`.")
    offset: Number | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        of_event, of_slot = (self.partition, self.offset), (self.user, self.type)
        if of_event != (None, None):
            if None in of_event or (*of_slot, self.id) != (None, None, None):
                raise ValueError("partition and offset: are asked for together, and alone")
        elif None in of_slot:
            missing = "user" if self.user is None else "type"
            raise ValueError(f"{missing}: must be given; or partition and offset of an event")
        return self


def _operation(path: str, id: str, tag: str, summary: str, answer: Any, query: type[Query] | None = None) -> Operation:
    missing = () if id in ("recent", "outlook") else (404,)
    off = () if id == "outlook" else (501,)
    return Operation(
        "GET",
        path,
        id,
        tag,
        "read",
        summary,
        {200: Answer("Found.", answer)},
        (*missing, *off, 503),
        query=query,
        query_example={"user": "alice", "type": "order_ready"} if id == "explain" else {},
    )


OPERATIONS = (
    _operation(
        "/notifications/{user_id}/{type}/{notification_id}",
        "story",
        "notifications",
        "All that is told of one notification",
        Story,
    ),
    _operation(
        "/users/{user_id}/notifications", "recent", "notifications", "A user's recent ones", RecentPage, RecentQuery
    ),
    _operation("/explain", "explain", "notifications", "Why one was sent or not", Explanation, ExplainQuery),
    _operation("/users/{user_id}/outlook/{type}", "outlook", "users", "What would happen to one sent now", Outlook),
)
