"""`GET /audit-log`: what admins did and who was refused. A request reads Kafka, so one at a time does."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiokafka.errors import KafkaError

from schemas.codec import Codec
from streams.audit.reading import RecordUnreadableError
from streams.settings import Settings
from streams.web.asked import Asked
from streams.web.contract.audit_log import AuditLogQuery
from streams.web.problems import problem
from streams.web.routes import Routes
from streams.web.security.audit_reading import read_page

READ_SECONDS_MAX = 15.0


def add_audit_view(routes: Routes, settings: Settings, codec: Codec) -> None:
    """Add the view."""
    busy = asyncio.Lock()

    async def get(asked: Asked) -> web.Response:
        """200 with the newest entries, or with those before the offset that `before` names."""
        query: AuditLogQuery = asked.query
        if busy.locked():
            return problem(429, "another request reads the audit log; ask again", {"Retry-After": "1"})
        async with busy:
            try:
                async with asyncio.timeout(READ_SECONDS_MAX):
                    page = await read_page(settings, codec, query.limit, query.before)
            except (KafkaError, RecordUnreadableError, TimeoutError) as error:
                return problem(503, f"the audit log cannot be read ({type(error).__name__})", kind="kafka")
        return web.json_response({"entries": page.entries, "before": page.before})

    routes.add("audit_log", get)
