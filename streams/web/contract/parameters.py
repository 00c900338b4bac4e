"""What stands in a path, a query or a header: each with its type, which checks it and is documented."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from streams.publish.letter_document import read_place
from streams.publish.names import BroadcastId, DeviceId, NotificationId, TypeName, UserId

LIMIT_MAX: Final = 1_000
DIGITS_MAX: Final = 18


def whole_number(value: Any) -> Any:
    """Read digits and nothing else: pydantic would take ` 1_0.0 ` for ten."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= DIGITS_MAX:
        return int(value)
    if isinstance(value, str):
        raise ValueError(f"must be a whole number, is {value[:40]!r}")
    return value


def _place(text: str) -> str:
    read_place(text)
    return text


Place = Annotated[
    str,
    AfterValidator(_place),
    Field(
        description="Where a dead letter lies: PARTITION@OFFSET.",
        examples=["3@17"],
        json_schema_extra={"pattern": r"^([A-Za-z0-9._\-]+-)?[0-9]+@[0-9]+$"},
    ),
]
Version = Annotated[
    str, Field(description="Of the admin page, as `/admin` names it.", examples=["0123456789abcdef"], min_length=1)
]
PagePath = Annotated[str, Field(description="Of a file of the admin page.", examples=["main.js"], min_length=1)]
FileName = Annotated[str, Field(description="A file.", examples=["docs.css"], max_length=64)]
PATH_PARAMETERS: Final[Mapping[str, Any]] = {
    "user_id": UserId,
    "type": TypeName,
    "notification_id": NotificationId,
    "device_id": DeviceId,
    "id": BroadcastId,
    "place": Place,
    "version": Version,
    "path": PagePath,
    "name": FileName,
}
"""By the name that a path gives it."""


Limit = Annotated[
    int,
    BeforeValidator(whole_number, json_schema_input_type=Annotated[int, Field(ge=1, le=LIMIT_MAX)]),
    Field(ge=1, le=LIMIT_MAX, description="At most so many."),
]


class Query(BaseModel):
    """What a query may have; anything else in it is refused by name."""

    model_config = ConfigDict(extra="forbid")
