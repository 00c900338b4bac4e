"""`/session`: the page exchanges an API key for a cookie, asks who it is, and lets go of it."""

from __future__ import annotations

import secrets
import time
from typing import Any

from aiohttp import web

from streams.web.asked import Asked
from streams.web.contract.session import Login
from streams.web.routes import Routes
from streams.web.security.audit_log import Deed
from streams.web.security.authentication import Authentication
from streams.web.security.callers import CALLER, Caller
from streams.web.security.guard import Guard
from streams.web.security.keys import KeyRefusedError
from streams.web.security.refusals import no_key
from streams.web.security.scopes import SCOPES

SESSION_ID_BYTES = 12


def add_session_views(routes: Routes, guard: Guard) -> None:
    """Add the views."""
    authentication = guard.authentication

    def note(request: web.Request, action: str, caller: Caller, status: int) -> None:
        guard.log.note_besides(Deed.of(action, caller, authentication.address(request), request), "DONE", status)

    async def begin(asked: Asked) -> web.Response:
        """200 with who it is, and a cookie; 401 where the key is good for nothing."""
        request, login = asked.request, asked.body
        assert isinstance(login, Login)
        if authentication.is_open:
            return web.json_response(session_document(CALLER.get(), authentication))
        try:
            found = authentication.book().find(login.key, time.time_ns() // 1_000_000)
        except KeyRefusedError as error:
            raise guard.failed(request, error) from None
        session_id = secrets.token_urlsafe(SESSION_ID_BYTES)
        caller = Caller("session", found.scopes, found.id, found.name, session_id)
        response = web.json_response(session_document(caller, authentication))
        authentication.begin(request, response, found, session_id)
        note(request, "session.begin", caller, 200)
        return response

    async def shown(asked: Asked) -> web.Response:
        """200 with who asks, 401 where nobody is known."""
        caller = CALLER.get()
        if not caller.scopes:
            raise no_key("there is no session, or it is over: POST /session with an API key")
        return web.json_response(session_document(caller, authentication))

    async def end(asked: Asked) -> web.Response:
        """204: there is no session any more."""
        response = web.Response(status=204)
        authentication.end(asked.request, response)
        if CALLER.get().by == "session":
            note(asked.request, "session.end", CALLER.get(), 204)
        return response

    routes.add("begin_session", begin)
    routes.add("session", shown)
    routes.add("end_session", end)


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
