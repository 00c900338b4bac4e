"""What a request brings: read up to a bound, and refused with a sentence that names the field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web


class RefusedError(Exception):
    """A request that cannot be taken: the status, and a sentence that names the field."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


async def read_bytes(request: web.Request, bytes_max: int) -> bytes:
    """Read the body. Raises RefusedError 413."""
    body = await request.content.read(bytes_max + 1)
    while len(body) <= bytes_max and (more := await request.content.read(bytes_max + 1 - len(body))):
        body += more
    if len(body) > bytes_max:
        raise RefusedError(413, f"the body has more than {bytes_max:,} bytes")
    return body


async def read_object(request: web.Request, bytes_max: int, *, may_be_missing: bool = False) -> dict[str, Any]:
    """Read a JSON object; where it may be missing, nothing is an empty one. Raises RefusedError."""
    body = await read_bytes(request, bytes_max)
    return {} if may_be_missing and not body else json_object(body)


def json_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object all of whose texts can be written down. Raises RefusedError."""
    try:
        document = json.loads(body)
        half = next(_halves(document, ""), None)
        if half is not None:
            raise RefusedError(400, f"{half}: has half a surrogate pair, which is no text")
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise RefusedError(400, "the body must be a JSON object")
    return document


def _halves(value: Any, where: str) -> Iterator[str]:
    """Yield the names of what is no text, as it stands in a document."""
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            yield where
    elif isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            shown = str(name).encode("ascii", "backslashreplace").decode()[:100]
            inside = f"{where}.{shown}" if where else shown
            yield from _halves(name, inside)
            yield from _halves(each, inside)
