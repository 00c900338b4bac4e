"""Binds the views to their operations: each request is checked, and each failure answered with a problem document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, cast

from aiohttp import web
from aiokafka.errors import KafkaError

from schemas.poison import PoisonError
from schemas.registry import RegistryError
from streams.lane.app import LaneApp, LaneWeb
from streams.publish.intake import BusyError
from streams.web.asked import Asked, Checker
from streams.web.bodies import RefusedError
from streams.web.contract.operation import Operation
from streams.web.contract.operations import operation
from streams.web.faults import FaultyError
from streams.web.problems import invalid, problem
from streams.web.routing import SYSTEM_HEADER

View = Callable[[Asked], Awaitable[web.Response]]
BUSY_SECONDS: Final = 1
AGAIN: Final = "ask again"


class Routes:
    """The routes of one worker."""

    def __init__(self, router: web.UrlDispatcher, system: str) -> None:
        self._router = router
        self._system = system

    @classmethod
    def of(cls, app: LaneApp) -> Routes:
        """Return those of an app's web server."""
        return cls(cast(LaneWeb, app.web).web_app.router, app.conf.id)

    def add(self, id: str, view: View, again: str = AGAIN) -> None:
        """Add the view of an operation. `again`: how to ask again where Kafka has not confirmed."""
        of = operation(id)
        answer = answered(of, view, self._system, again)
        if of.method == "GET":
            self._router.add_get(of.path, answer)  # with HEAD
        else:
            self._router.add_route(of.method, of.path, answer)


def answered(
    of: Operation, view: View, system: str, again: str = AGAIN
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the view as a handler.

    400, 406, 408, 413, 415: nothing was done, and why. 429: nothing was done, Kafka is slow. 503: it may have been.
    """
    checker = Checker(of)
    has_body = of.body is not None

    async def answer(request: web.Request) -> web.Response:
        try:
            response = await view(await checker.check(request))
        except FaultyError as error:
            response = problem(error.status, error.detail, errors=error.faults)
        except RefusedError as error:
            response = _refused(error, has_body)
        except BusyError as error:
            response = problem(429, f"{error}; ask again", {"Retry-After": str(BUSY_SECONDS)})
        except PoisonError as error:
            response = invalid(error.reason, of_body=has_body)
        except (KafkaError, RegistryError, TimeoutError) as error:
            response = problem(503, f"Kafka has not confirmed ({type(error).__name__}); {again}", kind="kafka")
        response.headers[SYSTEM_HEADER] = system
        return response

    return answer


def _refused(error: RefusedError, has_body: bool) -> web.Response:
    if error.status == HTTPStatus.BAD_REQUEST and error.kind is None:
        return invalid(str(error), of_body=has_body)
    headers = {}
    if error.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        headers = {"Accept-Encoding": "identity"}
    elif error.status == HTTPStatus.REQUEST_TIMEOUT:
        headers = {"Connection": "close"}  # the rest of the body may still come, and is no request
    return problem(error.status, str(error), headers, kind=error.kind)
