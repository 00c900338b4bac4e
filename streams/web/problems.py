"""Problem documents (RFC 9457): every answer that is not a success says in JSON what is wrong."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ConfigDict, Field

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2  # partitions usually move within this time

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fault(BaseModel):
    """One thing that is wrong."""

    model_config = ConfigDict(extra="forbid")

    field: str = Field(
        description="A JSON pointer into the body, or the name of a parameter or header.",
        examples=["/data/name", "limit"],
    )
    message: str = Field(description="What it must be, and what it is.", examples=["must be a text, is 7"])


class ProblemDocument(BaseModel):
    """What is wrong (RFC 9457)."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field("about:blank", description="The kind of the problem.")
    title: str
    status: int
    detail: str = Field(description="What is wrong with this request, for people.")
    errors: list[Fault] = Field(default_factory=list, description="All that is wrong, field by field.")


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a problem document. One with 503 says when to ask again."""
    document = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    retry = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return web.Response(
        body=json.dumps(document).encode(),
        status=status,
        content_type=PROBLEM_TYPE,
        headers={**(headers or {}), **retry},
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Make a problem document of whatever a view or the router raises; what nobody expected is logged."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return problem(error.status, f"{request.method} {_shown(request.path)}: {error.reason}", allow)
    except Exception:
        logger.exception("%s %s", request.method, _shown(request.path))
        return problem(500, "this is a mistake of ours; the worker's log says more")


class CallersMistakes(logging.Filter):
    """Keeps requests that are no HTTP out of the log: aiohttp refuses them with a 400, and logs each as an error."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is about anything else."""
        error = record.exc_info[1] if record.exc_info else None
        return not (isinstance(error, HttpProcessingError) and error.code < HTTPStatus.INTERNAL_SERVER_ERROR)


def _shown(path: str) -> str:
    return path[:200].encode("utf-8", "backslashreplace").decode()
