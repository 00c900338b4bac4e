"""What every answer says to browsers and to whoever keeps copies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Final

from aiohttp import web

from streams.web.routing import SYSTEM_HEADER

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
FIXED: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def add_headers(headers: MutableMapping[str, str]) -> None:
    """Add them. An answer that may be kept, such as a file of the page, says so itself; no other is."""
    headers.update(FIXED)
    headers.setdefault("Cache-Control", "no-store")
    headers.pop("Server", None)  # which version of what answers helps nobody else


def headers_signal(system: str) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return what adds them to every answer of an application, and which system has answered."""

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        add_headers(response.headers)
        response.headers.setdefault(SYSTEM_HEADER, system)

    return prepare
