"""What a request about stories asks for, in its query: read byte for byte, refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

from aiohttp import web

from schemas.keys import check_notification_id, slot_key
from schemas.poison import PoisonError
from streams.policies.explaining import Origin
from streams.web.story_reads import Cursor

LIMIT = 20
LIMIT_MAX = 100
NUMBER_DIGITS_MAX = 18


class Page(NamedTuple):
    """At most so many, behind the cursor. `fresh`: only once all that there was when it was asked for is told."""

    limit: int
    before: Cursor | None
    fresh: bool


class Question(NamedTuple):
    """What is to be explained: a slot, and perhaps one of its ids; or the event at a place of `notifications`."""

    slot: bytes
    notification_id: bytes | None
    origin: Origin | None


def read_page(request: web.Request) -> Page:
    """Read `limit`, `before` and `fresh`. Raises PoisonError INVALID_FIELD."""
    query = _query(request, "limit", "before", "fresh")
    limit = _number("limit", query.get("limit", str(LIMIT)))
    if not 1 <= limit <= LIMIT_MAX:
        raise PoisonError("INVALID_FIELD", f"limit: must be 1 to {LIMIT_MAX}")
    try:
        before = Cursor.read(query["before"]) if "before" in query else None
    except ValueError as error:
        raise PoisonError("INVALID_FIELD", f"before: {error}") from None
    fresh = query.get("fresh", "false")
    if fresh not in ("true", "false"):
        raise PoisonError("INVALID_FIELD", "fresh: must be true or false")
    return Page(limit, before, fresh == "true")


def read_question(request: web.Request) -> Question:
    """Read `user` and `type`, and `id` where one is asked about, or `partition` and `offset`.

    Raises PoisonError INVALID_FIELD.
    """
    query = _query(request, "user", "type", "id", "partition", "offset")
    if "partition" in query or "offset" in query:
        if set(query) != {"partition", "offset"}:
            raise PoisonError("INVALID_FIELD", "partition and offset: are asked for together, and alone")
        origin = _number("partition", query["partition"]), _number("offset", query["offset"])
        return Question(b"", None, origin)
    for name in ("user", "type"):
        if name not in query:
            raise PoisonError("INVALID_FIELD", f"{name}: must be given; or partition and offset of an event")
    slot = slot_key(query["user"], query["type"])
    notification_id = query["id"].encode() if "id" in query else None
    if notification_id is not None:
        check_notification_id(notification_id)
    return Question(slot, notification_id, None)


def _query(request: web.Request, *names: str) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True, errors="strict", max_num_fields=20)
    except (ValueError, UnicodeError) as error:
        raise PoisonError("INVALID_FIELD", f"the query cannot be read: {error}") from None
    query = dict(pairs)
    if set(query) - set(names):
        unknown = ", ".join(sorted(set(query) - set(names)))[:200]
        raise PoisonError("INVALID_FIELD", f"{unknown}: no such parameter; {', '.join(names)}")
    if len(query) != len(pairs):
        raise PoisonError("INVALID_FIELD", "a parameter is given twice")
    return query


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= NUMBER_DIGITS_MAX):
        raise PoisonError("INVALID_FIELD", f"{name}: must be a number, is {text[:40]!r}")
    return int(text)
