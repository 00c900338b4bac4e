"""The views of the templates: what this worker would render by, and trying it out. Every worker has all of them."""

from __future__ import annotations

import asyncio

from aiohttp import web

from streams.policies.rendering import RenderFailed
from streams.templates.documents import TemplatesError
from streams.templates.library import TemplateLibrary
from streams.templates.listing import template_document
from streams.templates.preview import Preview, preview_document, previewed
from streams.web.asked import Asked
from streams.web.problems import problem
from streams.web.routes import Routes


def add_templates_views(routes: Routes, library: TemplateLibrary) -> None:
    """Add the views."""

    async def found(asked: Asked) -> web.Response:
        """200 with the types that have a template or stand in the types file."""
        listed = [template_document(template, refused, whole=False) for template, refused in library.listed()]
        return web.json_response({"templates": listed})

    async def one(asked: Asked) -> web.Response:
        """200 with the template that counts for a type, as it is written; 404 where nothing is known of it."""
        type = asked.path["type"]
        if not library.knows(type):
            return problem(404, f"there is no template for {type}, and the types file has no such type")
        return web.json_response(template_document(library.of(type), library.why_refused(type), whole=True))

    async def rendered(asked: Asked) -> web.Response:
        """200 with what a reader would see, 422 with why there is nothing to see."""
        preview: Preview = asked.body
        try:
            template, text = await asyncio.to_thread(previewed, library, preview)  # compiling a large one takes long
        except TemplatesError as error:
            return problem(422, "; ".join(error.lines))
        if isinstance(text, RenderFailed):
            return problem(422, text.reason)
        return web.json_response(preview_document(template, text))

    routes.add("templates", found)
    routes.add("renderTemplate", rendered)
    routes.add("template", one)
