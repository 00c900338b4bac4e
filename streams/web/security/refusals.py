"""A request that is refused before any view sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from streams.web.problems import problem

REALM: Final = 'Bearer realm="ringonce"'


class DeniedError(Exception):
    """Refused: with which status, why, and what besides."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers

    def answer(self) -> web.Response:
        """Return the problem document. What else was to come of the request is not waited for."""
        response = problem(self.status, str(self), self.headers)
        response.force_close()
        return response


def no_key(detail: str, is_wrong: bool = False) -> DeniedError:
    """401: who asks is not known."""
    wrong = ', error="invalid_token"' if is_wrong else ""
    return DeniedError(401, detail, {"WWW-Authenticate": REALM + wrong})


def too_many(detail: str, wait_seconds: float) -> DeniedError:
    """429, with when to come again."""
    return DeniedError(429, detail, {"Retry-After": str(max(1, math.ceil(wait_seconds)))})
