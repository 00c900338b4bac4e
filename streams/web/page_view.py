"""`GET /admin`: the admin page. Its files hold nothing of the system: what they show they ask for, as all others do."""

from __future__ import annotations

from typing import cast

from aiohttp import web

from streams.lane.app import LaneApp, LaneWeb
from streams.web.page_files import Page, PageFile, load_page
from streams.web.problems import problem

YEAR_SECONDS = 31_536_000


def install_page_view(app: LaneApp) -> None:
    """Install the page in the app's web server."""
    cast(LaneWeb, app.web).web_app.add_routes(page_routes(load_page()))


def page_routes(page: Page) -> list[web.RouteDef]:
    """Return the page as routes."""

    async def index(request: web.Request) -> web.Response:
        """The document: asked for anew each time, and answered in full only where it has changed."""
        return _answer(request, page.index, page.version, "no-cache")

    async def moved(request: web.Request) -> web.Response:
        """The addresses in the document are relative to `/admin`, and would be wrong below `/admin/`."""
        raise web.HTTPPermanentRedirect("../admin")

    async def file(request: web.Request) -> web.Response:
        """A file under the version that it belongs to: it never changes, so nobody needs to ask for it twice."""
        found = page.files.get(request.match_info["path"])
        if found is None or request.match_info["version"] != page.version:
            return problem(404, "the page has no such file; another version of it has: load /admin anew")
        return _answer(request, found, page.version, f"public, max-age={YEAR_SECONDS}, immutable")

    return [
        web.get("/admin", index),
        web.get("/admin/", moved),
        web.get("/admin/{version}/{path:.+}", file),
    ]


def _answer(request: web.Request, file: PageFile, version: str, caching: str) -> web.Response:
    compressed = "gzip" in request.headers.get("Accept-Encoding", "")
    tag = f"{version}-gzip" if compressed else version
    headers = {"Cache-Control": caching, "ETag": f'"{tag}"', "Vary": "Accept-Encoding"}
    known = request.if_none_match or ()
    if any(each.value in (tag, "*") for each in known):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = file.content_type
    if not compressed:
        return web.Response(body=file.body, headers=headers)
    return web.Response(body=file.compressed, headers={**headers, "Content-Encoding": "gzip"})
