"""`GET /openapi.json`: everything that can be asked of a worker, for programs."""

from __future__ import annotations

import json

from aiohttp import web

from streams.web.asked import Asked
from streams.web.contract.document import openapi_document
from streams.web.routes import Routes


def add_openapi_view(routes: Routes) -> None:
    """Add the view; the document is made once."""
    document = json.dumps(openapi_document(), ensure_ascii=False).encode()

    async def get(asked: Asked) -> web.Response:
        """200 with the document."""
        return web.Response(body=document, content_type="application/json", charset="utf-8")

    routes.add("openapi", get)
