"""`GET /openapi.json`: everything that can be asked of a worker, for programs."""

from __future__ import annotations

import json

from aiohttp import web

from streams.web.contract.document import openapi_document


def openapi_routes(system: str) -> list[web.RouteDef]:
    """Return the view as a route; the document is made once."""
    document = json.dumps(openapi_document(), ensure_ascii=False).encode()

    async def get(request: web.Request) -> web.Response:
        """200 with the document."""
        return web.Response(body=document, content_type="application/json", charset="utf-8")

    return [web.get("/openapi.json", get)]
