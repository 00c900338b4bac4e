"""What a request about the schedule names: a slot, a notification, a stretch of time; read byte for byte."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from aiohttp import web

from schemas.keys import check_notification_id, check_type, slot_key
from schemas.poison import PoisonError
from streams.publish.instants import instant_ms
from streams.publish.schedule_commands import Target

LIMIT = 100
LIMIT_MAX = 1_000
INSTANT_MAX = 2**62


class Stretch(NamedTuple):
    """Due from `since` to before `until`, milliseconds since the epoch; of one type or all, at most so many."""

    since: int
    until: int
    limit: int
    type: str | None


def read_target(request: web.Request, with_id: bool) -> Target:
    """Read user, type and, where there is one, the id from the path: the router would take `%FF` and `%25FF` for one.

    Raises PoisonError INVALID_FIELD.
    """
    parts = request.rel_url.raw_path.split("/")[2 : 5 if with_id else 4]
    try:
        names = [unquote_to_bytes(part.encode("utf-8", "surrogateescape")).decode() for part in parts]
    except UnicodeDecodeError as error:
        raise PoisonError("INVALID_FIELD", f"the path is not UTF-8: {error.reason}") from None
    target = Target(names[0], names[1], names[2] if with_id else "")
    slot_key(target.user_id, target.type)
    if with_id:
        check_notification_id(target.notification_id.encode())
    return target


def read_stretch(request: web.Request) -> Stretch:
    """Read `from`, `to`, `limit` and `type` of the query. Raises PoisonError INVALID_FIELD."""
    query = request.query
    unknown = set(query) - {"from", "to", "limit", "type"}
    if unknown:
        raise PoisonError("INVALID_FIELD", f"{', '.join(sorted(unknown))}: no such parameter; from, to, limit, type")
    if "type" in query:
        check_type(query["type"].encode(errors="surrogatepass"))
    return Stretch(
        _instant("from", query.get("from"), 0),
        _instant("to", query.get("to"), INSTANT_MAX),
        _limit(query.get("limit")),
        query.get("type"),
    )


def _instant(name: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    try:
        return instant_ms(text)
    except ValueError as error:
        raise PoisonError("INVALID_FIELD", f"{name}: {error}") from None


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= LIMIT_MAX:
        raise PoisonError("INVALID_FIELD", f"limit: must be a number from 1 to {LIMIT_MAX}, is {text[:40]!r}")
    return int(text)


async def read_body(request: web.Request) -> dict[str, Any]:
    """Read the JSON object of a POST; nothing is an empty one. Raises PoisonError INVALID_FIELD."""
    if not await request.read():
        return {}
    try:
        body = await request.json()
    except ValueError as error:
        raise PoisonError("INVALID_FIELD", f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise PoisonError("INVALID_FIELD", "the body must be a JSON object")
    return body


class CommandBody(NamedTuple):
    """What a command says beside its target; `due_at` is None for a cancel."""

    requested_by: str
    request_id: str | None
    due_at: int | None


def read_command(body: dict[str, Any], with_due_at: bool) -> CommandBody:
    """Read a command. Raises PoisonError INVALID_FIELD, which names the field."""
    allowed = {"requested_by", "request_id"} | ({"due_at"} if with_due_at else set())
    unknown = set(body) - allowed
    if unknown:
        raise PoisonError("INVALID_FIELD", f"{', '.join(sorted(unknown))}: no such field; {', '.join(sorted(allowed))}")
    texts = [body.get("requested_by", ""), body.get("request_id")]
    if not all(text is None or isinstance(text, str) for text in texts) or texts[0] is None:
        raise PoisonError("INVALID_FIELD", "requested_by and request_id must be texts")
    due_at = body.get("due_at")
    if not with_due_at:
        return CommandBody(texts[0], texts[1] or None, None)
    if isinstance(due_at, bool) or not isinstance(due_at, str | int):
        raise PoisonError("INVALID_FIELD", "due_at: must be an instant, ISO 8601 or milliseconds since the epoch")
    return CommandBody(texts[0], texts[1] or None, _instant("due_at", str(due_at), 0))
