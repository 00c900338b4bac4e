"""What connectors have in common that show a token with each request: where it is refused, they ask once more.

A push is begun without a coroutine of its own, and has one only where it has to wait for a token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from connectors.exchange import Answer, Failure, Post
from connectors.http.asked import Asked
from connectors.http.client import HttpClient
from connectors.http.outcomes import outcome_of_failure
from connectors.outcome import NotSent, Outcome, Push, connector_failed

_Request = TypeVar("_Request")


class BearerConnector(Generic[_Request]):
    """See `connectors.outcome.Connector` and `connectors.beginner.Beginner`. Each provider says what its requests and
    answers are."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    # --- of each provider

    def timeout_seconds(self) -> float:
        """For a whole `send`, with waiting for a token."""
        raise NotImplementedError

    def build(self, push: Push) -> _Request | NotSent:
        """The request, without its token."""
        raise NotImplementedError

    def authorization(self) -> str:
        """The value of the header; empty, where there is none now."""
        raise NotImplementedError

    async def until_authorization(self, give_up_at: float) -> str | NotSent:
        """The value of the header, or why there is none at `give_up_at` (monotonic seconds). Not called where there
        always is one."""
        raise NotImplementedError

    def post_of(self, request: _Request, authorization: str) -> Post:
        """The request with its token."""
        raise NotImplementedError

    def read(self, answer: Answer) -> Outcome:
        """What an answer means."""
        raise NotImplementedError

    def renew(self, outcome: NotSent, authorization: str) -> bool:
        """Whether it is the token that was refused, and there may be another one."""
        raise NotImplementedError

    # --- of all

    async def send(self, push: Push, may_start: Callable[[], bool]) -> Outcome:
        """One push; a refused token is renewed and the push asked again once, inside the same limit."""
        request = self.build(push)
        if isinstance(request, NotSent):
            return request
        return await self.ask(request, time.monotonic() + self.timeout_seconds(), may_start, renewed=False)

    def begin(
        self, push: Push, may_start: Callable[[], bool], told: Callable[[Outcome], None]
    ) -> Outcome | Begun[_Request] | None:
        """See `connectors.beginner.Beginner`."""
        authorization = self.authorization()
        if not authorization:
            return None
        request = self.build(push)
        if isinstance(request, NotSent):
            return request
        seconds = self.timeout_seconds()
        begun = Begun(self, request, authorization, time.monotonic() + seconds, may_start, told)
        asked = self._http.ask(self.post_of(request, authorization), seconds, may_start, begun.ended)
        if isinstance(asked, Failure):
            return outcome_of_failure(asked, one_server=True)
        begun.under_way = asked
        return begun

    async def ask(
        self, request: _Request, give_up_at: float, may_start: Callable[[], bool], *, renewed: bool
    ) -> Outcome:
        """Ask until there is an outcome. `renewed`: a token was refused before."""
        while True:
            authorization = self.authorization()
            if not authorization:
                found = await self.until_authorization(give_up_at)
                if isinstance(found, NotSent):
                    return found
                authorization = found
            left_seconds = max(0.0, give_up_at - time.monotonic())
            result = await self._http.request(self.post_of(request, authorization), left_seconds, may_start)
            outcome = self.outcome_of(result)
            if renewed or not isinstance(outcome, NotSent) or not self.renew(outcome, authorization):
                return outcome
            renewed = True

    def outcome_of(self, result: Answer | Failure) -> Outcome:
        """What became of a request."""
        return outcome_of_failure(result, one_server=True) if isinstance(result, Failure) else self.read(result)


class Begun(Generic[_Request]):
    """See `connectors.beginner.Sending`."""

    def __init__(
        self,
        connector: BearerConnector[_Request],
        request: _Request,
        authorization: str,
        give_up_at: float,
        may_start: Callable[[], bool],
        told: Callable[[Outcome], None],
    ) -> None:
        self.under_way: Asked | asyncio.Task[None] | None = None
        self._connector = connector
        self._request = request
        self._authorization = authorization
        self._give_up_at = give_up_at
        self._may_start = may_start
        self._told = told

    def cancel(self) -> None:
        """See `connectors.beginner.Sending`."""
        under_way, self.under_way = self.under_way, None
        if under_way is not None:
            under_way.cancel()

    def ended(self, result: Answer | Failure | Exception) -> None:
        """The request is over: see `connectors.exchange.Told`."""
        connector = self._connector
        try:
            outcome = connector_failed(result) if isinstance(result, Exception) else connector.outcome_of(result)
            again = isinstance(outcome, NotSent) and connector.renew(outcome, self._authorization)
        except Exception as error:  # it must not reach the connection, which has others to tell
            outcome, again = connector_failed(error), False
        if again:
            self.under_way = asyncio.get_running_loop().create_task(self._ask_again())
        else:
            self._told(outcome)

    async def _ask_again(self) -> None:
        outcome: Outcome
        try:
            outcome = await self._connector.ask(self._request, self._give_up_at, self._may_start, renewed=True)
        except Exception as error:  # as above
            outcome = connector_failed(error)
        self._told(outcome)
