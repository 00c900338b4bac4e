"""A push that was begun: whatever its request ends in, one outcome is told, and no exception leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from connectors.exchange import CLOSED, TIMEOUT, Answer, Failure
from connectors.http import HttpClient, HttpConfig, Post
from connectors.http.bearer import BearerConnector, Begun
from connectors.outcome import Accepted, Device, NotSent, Outcome, ProviderName, Push, Unknown

PUSH = Push("p", "n", "t", Device("d", ProviderName.FCM, "a"), "", "", {}, 60, "c")
REFUSED = NotSent("token", retry=True)


class Stubborn(BearerConnector[str]):
    """Its answers mean what their status says: 200 accepted, 401 a refused token, else it fails."""

    def __init__(self) -> None:
        super().__init__(HttpClient(HttpConfig("127.0.0.1", 9)))
        self.renewed = 0
        self.again: Callable[[], Outcome] = lambda: Accepted(200)

    def timeout_seconds(self) -> float:
        return 5.0

    def build(self, push: Push) -> str | NotSent:
        return push.push_id

    def authorization(self) -> str:
        return "token"

    def post_of(self, request: str, authorization: str) -> Post:
        return Post("/", (), (), request.encode())

    def read(self, answer: Answer) -> Outcome:
        if answer.status not in (200, 401):
            raise KeyError("what")
        return Accepted(200) if answer.status == 200 else REFUSED

    def renew(self, outcome: NotSent, authorization: str) -> bool:
        self.renewed += outcome == REFUSED
        return outcome == REFUSED

    async def ask(self, request: str, give_up_at: float, may_start: Callable[[], bool], *, renewed: bool) -> Outcome:
        assert renewed
        return self.again()


async def end(connector: Stubborn, result: Answer | Failure | Exception) -> list[Outcome]:
    """What is told when the request of a push ends so."""
    told: list[Outcome] = []
    begun = Begun(connector, "p", "token", time.monotonic() + 5.0, lambda: True, told.append)
    begun.ended(result)
    for _ in range(3):
        await asyncio.sleep(0)
    return told


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (Answer(200, {}, b""), Accepted(200)),
        (Answer(500, {}, b""), Unknown("connector_failed: KeyError")),
        (ValueError("a header"), Unknown("connector_failed: ValueError")),
        (Failure(True, TIMEOUT), Unknown(TIMEOUT)),
        (Failure(False, CLOSED), NotSent(CLOSED, retry=True)),
    ],
)
def test_each_end_is_told_once(result: Answer | Failure | Exception, outcome: Outcome) -> None:
    """An answer, an answer that cannot be read, a request that is wrong, and no answer."""

    async def run() -> None:
        connector = Stubborn()
        assert (await end(connector, result), connector.renewed) == ([outcome], 0)

    asyncio.run(run())


def test_a_refused_token_is_renewed_once() -> None:
    """The second answer is the outcome, whatever it is; where asking raises, nobody knows."""

    async def run() -> None:
        connector = Stubborn()
        assert await end(connector, Answer(401, {}, b"")) == [Accepted(200)]
        connector.again = lambda: REFUSED
        assert await end(connector, Answer(401, {}, b"")) == [REFUSED]

        def fails() -> Outcome:
            raise OSError("what")

        connector.again = fails
        assert await end(connector, Answer(401, {}, b"")) == [Unknown("connector_failed: OSError")]
        assert connector.renewed == 3

    asyncio.run(run())


def test_a_second_request_can_be_given_up() -> None:
    """Nothing is told of what was cancelled while it was asked again."""

    async def run() -> None:
        told: list[Outcome] = []
        begun = Begun(Stubborn(), "p", "token", time.monotonic() + 5.0, lambda: True, told.append)
        begun.ended(Answer(401, {}, b""))
        begun.cancel()
        begun.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        assert told == []

    asyncio.run(run())


def test_a_closed_client_ends_it_at_once() -> None:
    """Nothing is told later where the outcome was returned."""

    async def run() -> None:
        connector, told = Stubborn(), list[Outcome]()
        await connector._http.close()
        assert connector.begin(PUSH, lambda: True, told.append) == NotSent(CLOSED, retry=True)
        assert told == []

    asyncio.run(run())
