"""The providers, as a worker meets them: what they say, what they do, and what they note of it.

What an answer means is asked of the product's own tables. A push is in the log when a provider has taken it, by a clock
that no worker has.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

import connectors.apns.response
import connectors.fcm.response
import connectors.webhook.response
import connectors.webpush.response
from connectors.exchange import (
    CONNECT_FAILED,
    CONNECTION_LOST,
    DEADLINE_PASSED,
    GOAWAY,
    QUEUE_TIMEOUT,
    REFUSED_STREAM,
    STREAM_RESET,
    TIMEOUT,
    Answer,
    Failure,
)
from connectors.http.outcomes import outcome_of_failure
from connectors.outcome import Outcome, ProviderName, Push
from tests.simulation.simulated_loop import SimulatedLoop

REQUEST_SECONDS_MAX: Final = 10.0  # the connectors' own limit for a request
OUTCOME_OF_ANSWER: Final[dict[ProviderName, Callable[[Answer, float], Outcome]]] = {
    ProviderName.APNS: connectors.apns.response.outcome_of_answer,
    ProviderName.FCM: connectors.fcm.response.outcome_of_answer,
    ProviderName.WEBPUSH: connectors.webpush.response.outcome_of_answer,
    ProviderName.WEBHOOK: connectors.webhook.response.outcome_of_answer,
}
REFUSALS: Final[dict[ProviderName, dict[int, bytes]]] = {
    ProviderName.APNS: {
        429: json.dumps({"reason": "TooManyRequests"}).encode(),
        400: json.dumps({"reason": "BadTopic"}).encode(),
        410: json.dumps({"reason": "Unregistered", "timestamp": 1}).encode(),
        503: json.dumps({"reason": "ServiceUnavailable"}).encode(),
        500: json.dumps({"reason": "InternalServerError"}).encode(),
    },
    ProviderName.FCM: {
        429: json.dumps({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}).encode(),
        400: json.dumps({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}).encode(),
        410: json.dumps({"error": {"code": 404, "status": "UNREGISTERED"}}).encode(),
        503: json.dumps({"error": {"code": 503, "status": "UNAVAILABLE"}}).encode(),
        500: json.dumps({"error": {"code": 500, "status": "INTERNAL"}}).encode(),
    },
    ProviderName.WEBPUSH: dict.fromkeys((429, 400, 410, 503, 500), b""),
    ProviderName.WEBHOOK: dict.fromkeys((429, 400, 410, 503, 500), b""),
}


class Mood(NamedTuple):
    """What a provider does with a request. `taken`: it delivers it, after `works` seconds on average.

    `status`: what it answers, 0: `failure` instead of any answer.
    """

    taken: bool
    status: int
    works: float = 0.05
    failure: Failure | None = None


MOODS: Final[dict[str, Mood]] = {
    "well": Mood(True, 200),
    "slow": Mood(True, 200, 4.0),
    "very slow": Mood(True, 200, 11.0),
    "throttle": Mood(False, 429),
    "reject": Mood(False, 400),
    "gone": Mood(False, 410),
    "unavailable": Mood(False, 503),
    "unavailable but delivered": Mood(True, 503),
    "internal": Mood(False, 500),
    "internal but delivered": Mood(True, 500),
    "refuse connection": Mood(False, 0, 0.01, Failure(False, CONNECT_FAILED)),
    "refuse stream": Mood(False, 0, 0.01, Failure(False, REFUSED_STREAM)),
    "goaway": Mood(False, 0, 0.01, Failure(False, GOAWAY)),
    "reset before": Mood(False, 0, 0.05, Failure(True, STREAM_RESET)),
    "reset after accept": Mood(True, 0, 0.05, Failure(True, STREAM_RESET)),
    "lost": Mood(False, 0, 0.5, Failure(True, CONNECTION_LOST)),
    "hang": Mood(True, 0, 6.0),
    "hang before": Mood(False, 0, 6.0),
}


class Taken(NamedTuple):
    """A push that a provider took. `at` and `written_at`, when its request left: milliseconds since the epoch."""

    at: int
    written_at: int
    provider: ProviderName
    address: str
    push_id: str
    notification_id: str


class SimulatedProvider:
    """One provider. `mood` is set by the plan of faults; `share`: how many requests meet it."""

    def __init__(
        self,
        name: ProviderName,
        loop: SimulatedLoop,
        chance: Random,
        now_ms: Callable[[], int],
        say: Callable[[str, str], None],
    ) -> None:
        self.name = name
        self._say_line = say
        self.loop = loop
        self.chance = chance
        self.mood = "well"
        self.share = 1.0
        self.log: list[Taken] = []
        self._now_ms = now_ms

    def take(self, push: Push) -> asyncio.Future[Answer | Failure]:
        """The request is on its way; what is returned ends with the answer, if there is one."""
        struck = self.chance.random() < self.share
        mood = MOODS[self.mood if struck else "well"]
        answer: asyncio.Future[Answer | Failure] = self.loop.create_future()
        context = self.loop.outside.context
        works = min(12.0, mood.works * (0.5 + self.chance.random()))
        # Where nobody waits for an answer, it may arrive as late as grace allows a request to be under way.
        arrives = self.chance.random() * (works if mood.status else mood.works * 4)
        if mood.taken:
            self.loop.call_later(arrives, self._deliver, push, self._now_ms(), context=context)
        said: Answer | Failure | None = mood.failure
        if mood.status == 200:
            said = Answer(201 if self.name is ProviderName.WEBPUSH else 200, {}, b'{"name": "x"}')
        elif mood.status:
            headers = {"retry-after": "3"} if mood.status == 429 and self.chance.random() < 0.5 else {}
            status = 404 if mood.status == 410 and self.name is ProviderName.FCM else mood.status
            said = Answer(status, headers, REFUSALS[self.name][mood.status])
        if said is not None:
            self.loop.call_later(works + 0.001, self._say, answer, said, context=context)
        return answer

    def _deliver(self, push: Push, written_at: int) -> None:
        self.log.append(
            Taken(self._now_ms(), written_at, self.name, push.device.address, push.push_id, push.notification_id)
        )
        self._say_line(self.name.value, f"takes {push.notification_id} for {push.device.address}")

    @staticmethod
    def _say(answer: asyncio.Future[Answer | Failure], said: Answer | Failure) -> None:
        if not answer.done():
            answer.set_result(said)


class SimulatedConnector:
    """`connectors.outcome.Connector` of one process. `edge` as for the link to the broker."""

    def __init__(self, provider: SimulatedProvider, edge: Callable[[str], None]) -> None:
        self.name = provider.name
        self._provider = provider
        self._edge = edge

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def send(self, push: Push, may_start: Callable[[], bool]) -> Outcome:
        """Wait for a place on a connection, ask whether it may start, write, and wait for the answer."""
        provider = self._provider
        wait = provider.chance.random()
        if wait < 0.5:
            # Opening a connection, or the queue in front of it.
            await asyncio.sleep(wait * (600.0 if wait < 0.03 else 0.1))
        if not may_start():
            return outcome_of_failure(Failure(False, DEADLINE_PASSED), one_server=True)
        answer = provider.take(push)
        self._edge("after write")
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                said = await answer
        except TimeoutError:
            said = Failure(True, TIMEOUT)
        if isinstance(said, Failure):
            return outcome_of_failure(said, one_server=True)
        return OUTCOME_OF_ANSWER[self.name](said, provider.loop.time())


class SimulatedBeginner(SimulatedConnector):
    """`connectors.beginner.Beginner`: where it has a token, a push is begun; some end before anything is asked."""

    def begin(
        self, push: Push, may_start: Callable[[], bool], told: Callable[[Outcome], None]
    ) -> Outcome | asyncio.Task[None] | None:
        """As `send`, and calls back."""
        chance = self._provider.chance.random()
        if chance < 0.02:
            return outcome_of_failure(Failure(False, QUEUE_TIMEOUT), one_server=True)
        return None if chance < 0.1 else asyncio.get_running_loop().create_task(self._tell(push, may_start, told))

    async def _tell(self, push: Push, may_start: Callable[[], bool], told: Callable[[Outcome], None]) -> None:
        told(await self.send(push, may_start))


def simulated_connector(provider: SimulatedProvider, edge: Callable[[str], None]) -> SimulatedConnector:
    """A connector that is asked as the real one is."""
    begins = provider.name in (ProviderName.APNS, ProviderName.FCM)
    return SimulatedBeginner(provider, edge) if begins else SimulatedConnector(provider, edge)
