"""What a request brings: read up to a bound, and refused with words that say why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from aiohttp import web

from streams.web.faults import FaultyError
from streams.web.problems import Fault

DEPTH_MAX: Final = 32  # what is taken anywhere has fewer than ten
_HALVES: Final = (b"\\ud", b"\\uD")  # where no half of a surrogate pair is escaped, none is in a body of UTF-8


class RefusedError(Exception):
    """A request that cannot be taken: the status, and a sentence that names the field."""

    def __init__(self, status: int, detail: str, kind: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind


def check_type(request: web.Request, wanted: str) -> None:
    """Raise RefusedError 415 for a body of another type, and for one that is compressed."""
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise RefusedError(415, f"Content-Encoding: must be identity, is {encoding[:40]!r}")
    if "Content-Type" not in request.headers:
        return
    given = request.content_type.lower()
    if given != wanted and not (wanted == "application/json" and given.endswith("+json")):
        raise RefusedError(415, f"Content-Type: must be {wanted}, is {given[:80]!r}")
    charset = request.charset
    if charset is not None and charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise RefusedError(415, f"Content-Type: the charset must be utf-8, is {charset[:40]!r}")


async def read_bytes(request: web.Request, bytes_max: int) -> bytes:
    """Read the body; the guard sees to it that it comes in time. Raises RefusedError 413."""
    if (request.content_length or 0) > bytes_max:
        raise RefusedError(413, f"the body has more than {bytes_max:,} bytes")
    body = await request.content.read(bytes_max + 1)
    while len(body) <= bytes_max and (more := await request.content.read(bytes_max + 1 - len(body))):
        body += more
    if len(body) > bytes_max:
        raise RefusedError(413, f"the body has more than {bytes_max:,} bytes")
    return body


def read_json(body: bytes) -> Any:
    """Read JSON all of whose texts can be written down, and no name of which is there twice. Raises FaultyError."""
    try:
        document = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number)
        if body.count(b"[") + body.count(b"{") > DEPTH_MAX and _is_deeper(document, DEPTH_MAX):
            raise RefusedError(
                400, f"the body has more than {DEPTH_MAX} arrays and objects inside each other", "not-json"
            )
        if any(half in body for half in _HALVES):
            half = next(_halves(document, ""), None)
            if half is not None:
                message = "has half a surrogate pair, which is no text"
                raise FaultyError(400, (Fault(field=half, message=message),), f"{half or 'the body'}: {message}")
    except _TwiceError as error:
        name = str(error)
        raise FaultyError(400, (Fault(field=name, message="is there twice"),), f"{name}: is there twice") from None
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"the body is not JSON: {str(error)[:200]}", "not-json") from None
    return document


def _is_deeper(document: Any, depth_max: int) -> bool:
    """Tell whether more than so many containers stand inside each other."""
    layer = [document] if isinstance(document, dict | list) else []
    for _ in range(depth_max):
        parts = (each.values() if isinstance(each, dict) else each for each in layer)
        layer = [inner for part in parts for inner in part if isinstance(inner, dict | list)]
        if not layer:
            return False
    return bool(layer)


class _TwiceError(Exception):
    """A name stands twice in one object: one reader would take the first, another one the last."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _TwiceError(_printed(name))
            seen.add(name)
    return document


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _printed(name: str) -> str:
    return name.encode("ascii", "backslashreplace").decode()[:100]


def _halves(value: Any, where: str) -> Iterator[str]:
    """Yield JSON pointers to what is no text."""
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            yield where
    elif isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            inside = f"{where}/{_printed(str(name))}"
            yield from _halves(name, inside)
            yield from _halves(each, inside)
