"""What every gateway call answers when it cannot do what it is asked for, and which system has answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
from aiohttp import web
from aiokafka.errors import KafkaError

from schemas.poison import PoisonError
from schemas.registry import RegistryError
from streams.publish.intake import BusyError
from streams.web.bodies import RefusedError
from streams.web.problems import problem
from streams.web.routing import SYSTEM_HEADER

BUSY_SECONDS = 1
KEPT_HEADERS = ("Retry-After", "Content-Type")
View = Callable[[web.Request], Awaitable[web.Response]]


def answered(view: View, system: str, again: str) -> View:
    """Return the view with a problem document for each way in which it may fail.

    400, 413: nothing was taken, and why. 429: nothing was taken, Kafka is slow. 503: it may have been; `again` says how
    to ask again without doing it twice.
    """

    async def answer(request: web.Request) -> web.Response:
        try:
            response = await view(request)
        except PoisonError as error:
            response = problem(400, error.reason)
        except RefusedError as error:
            response = problem(error.status, str(error))
        except BusyError as error:
            response = problem(429, f"{error}; ask again", {"Retry-After": str(BUSY_SECONDS)})
        except (KafkaError, RegistryError, TimeoutError) as error:
            response = problem(503, f"Kafka has not confirmed ({type(error).__name__}); {again}")
        response.headers[SYSTEM_HEADER] = system
        return response

    return answer


def passed_on(answer: httpx.Response) -> web.Response:
    """Return what another worker has answered."""
    kept = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
    return web.Response(body=answer.content, status=answer.status_code, headers=kept)
