"""`POST /notifications`."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Discriminator, Field, Tag

from streams.publish.lines import EventFields
from streams.publish.names import NotificationId
from streams.web.contract.operation import Answer, Body, Operation
from streams.web.contract.shown import Shown

BATCH_MAX: Final = 1_000
BODY_BYTES_MAX: Final = 4 * 1024 * 1024


class Taken(Shown):
    """A notification that Kafka has."""

    notification_id: str
    slot_url: str = Field(description="Where the state of its slot is shown.")
    status_url: str = Field(description="Where it tells what became of it.")


class NotificationBody(EventFields):
    """One notification. Its id may stand in the header Idempotency-Key instead."""

    notification_id: NotificationId | None = None


class NotificationInBatch(EventFields):
    """One notification of a batch."""

    notification_id: NotificationId


def _which(body: Any) -> str:
    return "batch" if isinstance(body, list) else "one"


OneOrBatch = Annotated[
    Annotated[NotificationBody, Tag("one")]
    | Annotated[list[NotificationInBatch], Field(min_length=1, max_length=BATCH_MAX), Tag("batch")],
    Discriminator(_which),
]
EXAMPLE = {
    "notification_id": "o-1234",
    "user_id": "alice",
    "type": "order_ready",
    "data": {"name": "Alice", "order": "1234"},
}
OPERATIONS = (
    Operation(
        "POST",
        "/notifications",
        "postNotifications",
        "notifications",
        "send",
        "Send one notification or a batch, now or later",
        {
            202: Answer(
                "Kafka has all of it. Location, of one: its status_url.",
                Taken | list[Taken],
                headers=("Location",),
            )
        },
        (413, 415, 429, 503),
        "Nothing of a batch is taken when one of it cannot be. The notification_id makes a request that is sent again "
        "the same notification: after a 429 or 503, or without an answer, send it again as it was. A notification with "
        "`send_at` or `send_at_local` waits in the schedule.",
        headers=("Idempotency-Key",),
        body=Body(
            OneOrBatch,
            BODY_BYTES_MAX,
            {
                "one": EXAMPLE,
                "later": {**EXAMPLE, "notification_id": "o-1235", "send_at": "2026-12-24T18:00:00Z"},
                "local": {**EXAMPLE, "notification_id": "o-1236", "send_at_local": "2026-12-24T18:00"},
                "batch": [EXAMPLE, {**EXAMPLE, "notification_id": "o-1237", "user_id": "bob"}],
            },
            tags=("one", "batch"),
        ),
    ),
)
