"""Puts the guard before every view of a worker's web server."""

from __future__ import annotations

from typing import cast

from streams.lane.app import LaneApp, LaneWeb
from streams.web.routing import Routing
from streams.web.security.authentication import Authentication
from streams.web.security.callers import CALLER
from streams.web.security.guard import Guard
from streams.web.security.headers import headers_signal
from streams.web.security.security import Security
from streams.web.security.session_views import session_routes


def install_security(app: LaneApp, security: Security, routing: Routing) -> Guard:
    """Install the guard behind what makes problem documents, and let `routing` sign what it forwards."""
    authentication = Authentication(security, lambda: str(app.conf.canonical_url))
    guard = Guard(security, authentication)
    application = cast(LaneWeb, app.web).web_app
    application.middlewares.append(guard.middleware)
    application.on_response_prepare.append(headers_signal(app.conf.id))
    application.add_routes(session_routes(guard))
    routing.sign = lambda method, target, to: authentication.sign(method, target, to, CALLER.get())
    return guard
