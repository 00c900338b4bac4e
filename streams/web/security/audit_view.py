"""`GET /audit-log`: what admins did and who was refused. A request reads Kafka, so one at a time does."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiokafka.errors import KafkaError

from schemas.codec import Codec
from streams.audit.reading import RecordUnreadableError
from streams.settings import Settings
from streams.web.problems import problem
from streams.web.security.audit_reading import read_page
from streams.web.security.refusals import DeniedError

LIMIT = 100
LIMIT_MAX = 1_000
OFFSET_MAX = 2**62
READ_SECONDS_MAX = 15.0


def audit_routes(settings: Settings, codec: Codec) -> list[web.RouteDef]:
    """Return the view as a route."""
    busy = asyncio.Lock()

    async def get(request: web.Request) -> web.Response:
        """200 with the newest entries, or with those before the offset that `before` names."""
        unknown = set(request.query) - {"limit", "before"}
        if unknown:
            raise DeniedError(400, f"{', '.join(sorted(unknown))[:100]}: no such parameter; limit, before")
        limit = _number(request, "limit", LIMIT_MAX, LIMIT)
        before = _number(request, "before", OFFSET_MAX, None)
        assert limit is not None, "there is a default"
        if busy.locked():
            return problem(429, "another request reads the audit log; ask again", {"Retry-After": "1"})
        async with busy:
            try:
                async with asyncio.timeout(READ_SECONDS_MAX):
                    page = await read_page(settings, codec, limit, before)
            except (KafkaError, RecordUnreadableError, TimeoutError) as error:
                return problem(503, f"the audit log cannot be read ({type(error).__name__})")
        return web.json_response({"entries": page.entries, "before": page.before})

    return [web.get("/audit-log", get)]


def _number(request: web.Request, name: str, most: int, default: int | None) -> int | None:
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= most):
        raise DeniedError(400, f"{name}: must be a number from 1 to {most}, is {text[:40]!r}")
    return int(text)
