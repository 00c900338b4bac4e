"""Puts the guard before every view of a worker's web server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, NamedTuple, cast

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from schemas.codec import Codec
from streams.lane.app import LaneApp, LaneWeb
from streams.metrics import Metric, counter
from streams.web.routes import Routes
from streams.web.routing import Routing
from streams.web.security.audit_log import AuditLog
from streams.web.security.audit_view import add_audit_view
from streams.web.security.authentication import Authentication
from streams.web.security.callers import CALLER
from streams.web.security.guard import Guard
from streams.web.security.headers import headers_signal
from streams.web.security.security import Security
from streams.web.security.server import FrontRunner
from streams.web.security.session_ends import SessionEnds
from streams.web.security.session_views import add_session_views


class Installed(NamedTuple):
    """What the caller has to run beside the worker, and to close."""

    besides: list[Callable[[], Coroutine[Any, Any, None]]]
    close: Callable[[], Awaitable[None]]


def install_security(app: LaneApp, security: Security, routing: Routing, codec: Codec) -> Installed:
    """Install the guard behind what makes problem documents, and let `routing` sign what it forwards."""

    def url() -> str:
        return str(app.conf.canonical_url)

    log = AuditLog(security.settings, codec, url)
    authentication = Authentication(security, url)
    guard = Guard(security, authentication, log)
    front = cast(LaneWeb, app.web)
    application = front.web_app
    front._runner = FrontRunner(application, security.settings.api)  # Faust has no setting for it
    application.middlewares.append(guard.middleware)
    application.on_response_prepare.append(headers_signal(app.conf.id))
    routes = Routes.of(app)
    add_session_views(routes, guard)
    add_audit_view(routes, security.settings, codec)
    routing.sign = lambda method, target, to: authentication.sign(method, target, to, CALLER.get())
    app.metrics.add(GuardCollector(guard))
    ends = SessionEnds(security.settings, codec, security.ended)
    return Installed([] if security.keys is None else [ends.run], log.close)


class GuardCollector(Collector):
    """Shows what was refused, and what of it could not be written down."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def collect(self) -> Iterable[Family]:
        """Return the families with their values."""
        refused, lost = counter(Metric.HTTP_REFUSED_TOTAL), counter(Metric.AUDIT_LOG_LOST_TOTAL)
        for status, count in sorted(self._guard.refused.items()):
            refused.add_metric([str(status)], count)
        lost.add_metric([], self._guard.log.lost)
        return refused, lost
