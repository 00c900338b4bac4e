"""`GET /docs`: everything that can be asked of a worker, for people; rendered once, without a script."""

from __future__ import annotations

from importlib.resources import files

from aiohttp import web

from streams.web.asked import Asked
from streams.web.contract.document import openapi_document
from streams.web.docs_page import page_of
from streams.web.problems import problem
from streams.web.routes import Routes

STYLES = "docs.css"


def add_docs_views(routes: Routes) -> None:
    """Add the views."""
    page = page_of(openapi_document()).encode()
    styles = files("streams.web").joinpath(f"docs/{STYLES}").read_bytes()

    async def shown(asked: Asked) -> web.Response:
        """200 with the page."""
        return web.Response(body=page, content_type="text/html", charset="utf-8")

    async def file(asked: Asked) -> web.Response:
        """200 with how the page looks; 404 for any other name."""
        if asked.path["name"] != STYLES:
            return problem(404, f"the page has no file {asked.path['name']}")
        return web.Response(body=styles, content_type="text/css", charset="utf-8")

    routes.add("docs", shown)
    routes.add("docsFile", file)
