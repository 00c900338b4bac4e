"""What tests with real servers ask for; and every answer of a worker is held to what it documents."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.outcome import ProviderName
from connectors.simulators import ProviderSimulators
from streams.web.contract.document import openapi_document
from streams.web.routing import FORWARDED_HEADER, SYSTEM_HEADER
from tests.documented_answers import Answers
from tests.integration.connector_world import (
    AT_ONCE,
    LIMIT_SECONDS,
    OVER_HTTP1,
    Clock,
    InWorld,
    Scenario,
    World,
    new_connector,
)
from tests.integration.history_store import Store, new_store
from tests.postgres_server import PostgresServer, postgres_server


@pytest.fixture(scope="module", autouse=True)
def answers_are_documented() -> Iterator[None]:
    """Hold every answer of a worker to these tests to the OpenAPI document.

    Forwarded questions get the part of one worker, which is between workers and in no document.
    """
    answers, send, send_later = Answers(openapi_document()), httpx.Client.send, httpx.AsyncClient.send

    def check(answer: httpx.Response) -> None:
        request = answer.request
        path = answers.path(request.url.raw_path.decode("ascii").partition("?")[0])
        is_ours = SYSTEM_HEADER in answer.headers and FORWARDED_HEADER not in request.headers
        if is_ours and path is not None and answer.is_closed and request.method != "OPTIONS":
            answers.check(request.method, path, answer)

    def sent(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        answer = send(self, request, **options)
        check(answer)
        return answer

    async def sent_later(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        answer = await send_later(self, request, **options)
        check(answer)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.Client, "send", sent)
        patch.setattr(httpx.AsyncClient, "send", sent_later)
        yield


@pytest.fixture(params=[*ProviderName, *AT_ONCE])
def in_world(request: pytest.FixtureRequest, tmp_path: Path) -> InWorld:
    """Run a scenario in a fresh world of one provider, over HTTP/2 unless its parameter says otherwise."""
    at_once, over = request.param in AT_ONCE, request.param in OVER_HTTP1
    name = ProviderName(str(request.param).partition(" ")[0])

    def run(scenario: Scenario) -> None:
        async def main() -> None:
            clock = Clock()
            simulators = ProviderSimulators(tmp_path, clock.milliseconds)
            getattr(simulators, name).listener.http2 = not over
            async with simulators:
                connector = new_connector(simulators, name, clock)
                await connector.start()
                try:
                    await scenario(World(name, simulators, clock, connector, at_once))
                finally:
                    await connector.close()

        asyncio.run(asyncio.wait_for(main(), LIMIT_SECONDS))

    return run


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL that all tests of the session share, each with a database of its own."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty place for a history, in either database."""
    kind = str(request.param)
    server = request.getfixturevalue("postgres") if kind == "postgresql" else None
    found = new_store(kind, tmp_path, server)
    yield found
    for database in found.opened:
        database.close()
