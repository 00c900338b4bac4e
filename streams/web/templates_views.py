"""The views of the templates: what this worker would render by, and trying it out. Every worker has all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web
from pydantic import ValidationError

from schemas.keys import check_type
from schemas.poison import PoisonError
from streams.lane.app import LaneApp, LaneWeb
from streams.policies.rendering import RenderFailed
from streams.templates.documents import TemplatesError
from streams.templates.library import TemplateLibrary
from streams.templates.listing import template_document
from streams.templates.preview import Preview, preview_document, previewed
from streams.violations import sentence
from streams.web.problems import problem
from streams.web.routing import SYSTEM_HEADER
from streams.web.schedule_paths import read_body

Handler = Callable[[web.Request], Awaitable[web.Response]]


def install_templates_views(app: LaneApp, library: TemplateLibrary) -> None:
    """Install the views in the app's web server."""
    cast(LaneWeb, app.web).web_app.add_routes(templates_routes(library, app.conf.id))


def templates_routes(library: TemplateLibrary, system: str) -> list[web.RouteDef]:
    """Return the views as routes; `system` is said with each answer."""

    def view(handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            try:
                response = await handler(request)
            except PoisonError as error:
                response = problem(400, error.reason)
            response.headers[SYSTEM_HEADER] = system
            return response

        return answer

    async def found(request: web.Request) -> web.Response:
        """200 with the types that have a template or stand in the types file."""
        listed = [template_document(template, refused, whole=False) for template, refused in library.listed()]
        return web.json_response({"templates": listed})

    async def one(request: web.Request) -> web.Response:
        """200 with the template that counts for a type, as it is written; 404 where nothing is known of it."""
        type = request.match_info["type"]
        check_type(type.encode("utf-8", "surrogatepass"))
        if not library.knows(type):
            return problem(404, f"there is no template for {type}, and the types file has no such type")
        return web.json_response(template_document(library.of(type), library.why_refused(type), whole=True))

    async def rendered(request: web.Request) -> web.Response:
        """200 with what a reader would see, 422 with why there is nothing to see."""
        try:
            asked = Preview.model_validate(await read_body(request))
            check_type(asked.type.encode("utf-8", "surrogatepass"))
            template, text = await asyncio.to_thread(previewed, library, asked)  # compiling a large one takes long
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, each['loc']))}: {sentence(each)}" for each in error.errors()]
            return problem(400, "; ".join(lines))
        except TemplatesError as error:
            return problem(422, "; ".join(error.lines))
        if isinstance(text, RenderFailed):
            return problem(422, text.reason)
        return web.json_response(preview_document(template, text))

    return [
        web.get("/templates", view(found)),
        web.post("/templates/render", view(rendered)),
        web.get("/templates/{type}", view(one)),
    ]
