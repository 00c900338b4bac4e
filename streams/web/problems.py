"""Problem documents (RFC 9457): every answer that is not a success says in JSON what is wrong, field by field."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ConfigDict, Field

from streams.web.problem_kinds import BY_STATUS, KINDS, URN

logger = logging.getLogger(__name__)

PROBLEM_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 2  # partitions usually move within this time

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_NAMED: Final = re.compile(r"(?:\[(\d+)\] )?([A-Za-z_][\w.-]*): ")


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

    type: str = Field(description="The kind of the problem; the page /docs explains each.", examples=[f"{URN}invalid"])
    title: str
    status: int
    detail: str = Field(description="What is wrong with this request, for people.")
    errors: list[Fault] = Field(default_factory=list, description="All that is wrong, field by field.")


def problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    *,
    kind: str | None = None,
    errors: Sequence[Fault] = (),
) -> web.Response:
    """Return a problem document. One with 503 says when to ask again. `kind`: without it, that of the status."""
    kind = kind or BY_STATUS.get(status, "mistake")
    document: dict[str, object] = {
        "type": f"{URN}{kind}",
        "title": KINDS[kind].title,
        "status": status,
        "detail": detail,
    }
    if errors:
        document["errors"] = [{"field": each.field, "message": each.message} for each in errors]
    retry = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return web.Response(
        body=json.dumps(document).encode(),
        status=status,
        content_type=PROBLEM_TYPE,
        headers={**retry, **(headers or {})},
    )


def invalid(sentence: str, *, of_body: bool) -> web.Response:
    """Return 400 for a sentence such as `address: must be …`; `of_body`: what it names is a field of the body."""
    return problem(400, sentence, errors=tuple(named(sentence, of_body=of_body)))


def named(sentence: str, *, of_body: bool) -> Iterator[Fault]:
    """Yield what a sentence says of a field, where it begins with its name."""
    found = _NAMED.match(sentence)
    if found is not None:
        index, name = found.groups()
        pointer = f"/{index}" if index else ""
        field = f"{pointer}/{name.replace('.', '/')}" if of_body else name
        yield Fault(field=field, message=sentence[found.end() :])


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Make a problem document of whatever a view or the router raises; what nobody expected is logged."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allow = {"Allow": ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))}
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=allow)
        return problem(405, f"{_shown(request.method)} {_shown(request.path)}: one of {allow['Allow']}", allow)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        kind = "no-such-path" if error.status == HTTPStatus.NOT_FOUND else None
        return problem(error.status, f"{_shown(request.method)} {_shown(request.path)}: {error.reason}", kind=kind)
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
