"""The names in what people write: users, types, notifications, and who asks. Each says what it must be."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from schemas.keys import NOTIFICATION_ID_BYTES_MAX, TYPE_BYTES_MAX, USER_ID_BYTES_MAX

REQUEST_BYTES_MAX: Final = 128
TYPE_PATTERN: Final = r"^[A-Za-z0-9_.\-]{1,64}$"
_TYPE: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}\Z")


def sized(least: int, most: int) -> Callable[[str], str]:
    """Return a check that a text has so many bytes of UTF-8."""

    def check(text: str) -> str:
        size = len(text.encode(errors="surrogatepass"))
        if not least <= size <= most:
            span = f"{least} to {most}" if least else f"at most {most}"
            raise ValueError(f"has {size:,} bytes, must have {span}")
        return text

    return check


def _type(text: str) -> str:
    if not _TYPE.match(text):
        raise ValueError(f"must be 1 to {TYPE_BYTES_MAX} of A-Z a-z 0-9 _ - ., is {text[:100]!r}")
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed")
    return text


def _text(least: int, most: int, description: str, example: str) -> object:
    bounds = {"minLength": least} if least else {}
    size = f"{least} to {most}" if least else f"At most {most}"
    return Field(
        description=f"{description} {size} bytes of UTF-8.",
        examples=[example],
        json_schema_extra={**bounds, "maxLength": most},
    )


UserId = Annotated[
    str,
    AfterValidator(sized(1, USER_ID_BYTES_MAX)),
    _text(1, USER_ID_BYTES_MAX, "Who is told.", "alice"),
]
NotificationId = Annotated[
    str,
    AfterValidator(sized(1, NOTIFICATION_ID_BYTES_MAX)),
    _text(
        1,
        NOTIFICATION_ID_BYTES_MAX,
        "The identity of a notification: the same id for the same user is the same notification for 24 hours.",
        "o-1234",
    ),
]
TypeName = Annotated[
    str,
    AfterValidator(_type),
    Field(
        description="What kind of notification. With the user it names the slot.",
        examples=["order_ready"],
        json_schema_extra={"pattern": TYPE_PATTERN},
    ),
]
DeviceId = Annotated[
    str,
    AfterValidator(sized(1, REQUEST_BYTES_MAX)),
    AfterValidator(_printable),
    _text(1, REQUEST_BYTES_MAX, "One device of a user, named by whoever registers it. Printable.", "phone"),
]
BroadcastId = Annotated[
    str,
    AfterValidator(sized(1, REQUEST_BYTES_MAX)),
    _text(1, REQUEST_BYTES_MAX, "The identity of a broadcast: the same id is the same broadcast.", "spring-sale"),
]
RequestId = Annotated[
    str,
    AfterValidator(sized(0, REQUEST_BYTES_MAX)),
    _text(0, REQUEST_BYTES_MAX, "The identity of this request; without one it gets one.", "r-1"),
]
RequestedBy = Annotated[
    str,
    AfterValidator(sized(0, REQUEST_BYTES_MAX)),
    _text(0, REQUEST_BYTES_MAX, "Who asks, for people.", "ops"),
]
