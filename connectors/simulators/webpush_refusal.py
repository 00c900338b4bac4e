"""How the Web Push service refuses: in the error body of Mozilla's autopush, with its error numbers."""

from __future__ import annotations

from http import HTTPStatus

from connectors.simulators.exchange import json_response
from connectors.simulators.provider import RefusedError


def refuse(
    status: int, reason: str, errno: int, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> RefusedError:
    """The refusal; `reason` is our word for the count (RFC 8030 has none), `errno` is autopush's number."""
    body = {"code": status, "errno": errno, "error": HTTPStatus(status).phrase, "message": message}
    return RefusedError(reason, json_response(status, body, *headers))
