"""`/session`: the page exchanges an API key for a cookie, asks who it is, and lets go of it."""

from __future__ import annotations

import secrets
import time
from typing import Any

from aiohttp import web

from streams.web.bodies import RefusedError, read_object
from streams.web.security.audit_log import Deed
from streams.web.security.authentication import Authentication
from streams.web.security.callers import CALLER, Caller
from streams.web.security.guard import Guard
from streams.web.security.keys import KeyRefusedError
from streams.web.security.refusals import DeniedError, no_key
from streams.web.security.scopes import SCOPES

BODY_BYTES_MAX = 4 * 1024
SESSION_ID_BYTES = 12
FIELDS = frozenset(("key",))


def session_routes(guard: Guard) -> list[web.RouteDef]:
    """Return the views as routes."""
    authentication = guard.authentication

    def note(request: web.Request, action: str, caller: Caller, status: int) -> None:
        guard.log.note_besides(Deed.of(action, caller, authentication.address(request), request), "DONE", status)

    async def begin(request: web.Request) -> web.Response:
        """200 with who it is, and a cookie; 401 where the key is good for nothing."""
        key = await _key(request)
        if authentication.is_open:
            return web.json_response(session_document(CALLER.get(), authentication))
        try:
            found = authentication.book().find(key, time.time_ns() // 1_000_000)
        except KeyRefusedError as error:
            raise guard.failed(request, error) from None
        session_id = secrets.token_urlsafe(SESSION_ID_BYTES)
        caller = Caller("session", found.scopes, found.id, found.name, session_id)
        response = web.json_response(session_document(caller, authentication))
        authentication.begin(request, response, found, session_id)
        note(request, "session.begin", caller, 200)
        return response

    async def shown(request: web.Request) -> web.Response:
        """200 with who asks, 401 where nobody is known."""
        caller = CALLER.get()
        if not caller.scopes:
            raise no_key("there is no session, or it is over: POST /session with an API key")
        return web.json_response(session_document(caller, authentication))

    async def end(request: web.Request) -> web.Response:
        """204: there is no session any more."""
        response = web.Response(status=204)
        authentication.end(request, response)
        if CALLER.get().by == "session":
            note(request, "session.end", CALLER.get(), 204)
        return response

    return [web.post("/session", begin), web.get("/session", shown), web.delete("/session", end)]


async def _key(request: web.Request) -> str:
    try:
        body = await read_object(request, BODY_BYTES_MAX, may_be_missing=True)
        for name, given in body.items():
            if name not in FIELDS or not isinstance(given, str):
                raise RefusedError(400, f"{name[:40]}: no such field, or no text; key")
    except RefusedError as error:
        raise DeniedError(error.status, str(error)) from None
    return str(body.get("key", ""))


def session_document(caller: Caller, authentication: Authentication) -> dict[str, Any]:
    """Return who somebody is. `csrf_token` is empty where none is asked for: with a key, and where all is open."""
    is_session = caller.by == "session"
    return {
        "name": caller.name or caller.by,
        "key_id": caller.key_id,
        "scopes": [scope for scope in SCOPES if scope in caller.scopes],
        "csrf_token": authentication.csrf_token(caller.session_id) if is_session else "",
        "open": authentication.is_open,
    }
