"""`/session`: the page exchanges an API key for a cookie, asks who it is, and lets go of it."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Any

from aiohttp import web

from streams.web.asked import Asked
from streams.web.contract.session import Login
from streams.web.problems import problem
from streams.web.routes import Routes
from streams.web.security.audit_log import AuditUnwrittenError, Deed
from streams.web.security.authentication import Authentication
from streams.web.security.callers import CALLER, Caller
from streams.web.security.guard import Guard
from streams.web.security.keys import KeyRefusedError
from streams.web.security.refusals import no_key
from streams.web.security.scopes import SCOPES
from streams.web.security.session_ends import END_ACTION

SESSION_ID_BYTES = 12
UNHEARD = (
    "this browser is signed out, but Kafka has not confirmed it, so other workers may not hear of it: where somebody "
    "may have copied the cookie, revoke the key with `ringonce keys revoke {}`"
)

logger = logging.getLogger(__name__)


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
        """204: there is no session any more, nor anywhere a copy of it that is good for anything.

        503: on this worker and in this browser there is none; whether the others will hear of it is not known.
        """
        request, caller = asked.request, CALLER.get()
        response = web.Response(status=204)
        if caller.by == "session":
            deed = Deed.of(END_ACTION, caller, authentication.address(request), request)
            try:
                await guard.log.write(deed, "DONE", 204)
            except AuditUnwrittenError as error:
                logger.error("other workers do not hear that session %s has ended: %s", caller.session_id, error)
                response = problem(503, UNHEARD.format(caller.key_id))
        authentication.end(request, response, caller.session_id)
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
