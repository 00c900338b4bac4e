"""A broadcast and the users of a list as people write them, and the sentence that says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.codec import Codec
from schemas.keys import check_user_id
from schemas.poison import PoisonError
from schemas.records import Broadcast
from streams.publish.lines import Instant, LocalTime, TimeZone, read_line
from streams.publish.names import BroadcastId, RequestedBy, TypeName
from streams.stages.broadcast_records import BROADCAST_BYTES_MAX, PER_SECOND_MAX, check_broadcast
from streams.types_file import NotificationTypes

INLINE_USERS_MAX: Final = 10_000
LINE_BYTES_MAX: Final = 2_048  # a user_id has 256 bytes; written as JSON each may take six
_PLAIN_CODEC: Final = Codec()


class BroadcastFields(BaseModel):
    """A broadcast as people write it, but for its id. Instants: ISO 8601 or milliseconds since the epoch."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: TypeName
    audience: Literal["all", "list", "filter"]
    filter: str | None = None
    users: list[str] | None = Field(None, min_length=1, max_length=INLINE_USERS_MAX)
    per_second: int | None = Field(None, ge=1, le=PER_SECOND_MAX)
    dry_run: bool = False
    requested_by: RequestedBy = ""
    send_at: Instant | None = None
    expires_at: Instant | None = None
    send_at_local: LocalTime | None = None
    time_zone: TimeZone | None = None
    title: str | None = None
    body: str | None = None
    data: dict[str, str] = Field(default_factory=dict)


class BroadcastLine(BroadcastFields):
    """A broadcast as people write it. `users`: of a short list."""

    broadcast_id: BroadcastId


def read_broadcast(
    values: Mapping[str, Any], types: NotificationTypes, now_ms: int
) -> tuple[Broadcast, list[str] | None]:
    """Read a broadcast, and the users that come with it. Raises ValueError with a sentence that names the field."""
    line = read_line(BroadcastLine, dict(values))
    return checked_broadcast(line.broadcast_id, line, types, now_ms)


def checked_broadcast(
    broadcast_id: str, line: BroadcastFields, types: NotificationTypes, now_ms: int
) -> tuple[Broadcast, list[str] | None]:
    """As `read_broadcast`, of one that was read."""
    record = line.model_dump(exclude={"users"})
    record |= {"broadcast_id": broadcast_id, "audience": line.audience.upper(), "requested_at": now_ms}
    check_broadcast(record)
    if types.policy(line.type) is None:
        raise ValueError(f"type: the types file has no type {line.type!r}")
    if line.expires_at is not None and line.expires_at <= now_ms:
        raise ValueError("expires_at: is past, nobody would be told")
    if line.users is not None and line.audience != "list":
        raise ValueError("users: are given with the audience list, and with no other")
    size = len(_PLAIN_CODEC.encode("Broadcast", record))
    if size > BROADCAST_BYTES_MAX:
        raise ValueError(f"has {size:,} bytes, at most {BROADCAST_BYTES_MAX:,} are told to so many")
    for user in line.users or ():
        try:
            check_user_id(user.encode())
        except (PoisonError, UnicodeEncodeError) as error:
            raise ValueError(f"users: {error}") from None
    return Broadcast(**record), line.users  # type: ignore[typeddict-item] # the model has the fields of the contract


def read_user(line: bytes) -> str | None:
    """Read a line of a list: a user_id, or one as a JSON text in quotes. None: an empty line. Raises ValueError."""
    if len(line) > LINE_BYTES_MAX:
        raise ValueError(f"has {len(line):,} bytes, a user_id has 1 to 256")
    text = line.decode().strip("\r\n")
    if not text.strip():
        return None
    if text.startswith('"'):
        text = json.loads(text)
    check_user_id(text.encode())
    return text
