"""What the conformance suite of the connectors asks for, and the databases of a history."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.outcome import ProviderName
from connectors.simulators import ProviderSimulators
from tests.integration.connector_world import LIMIT_SECONDS, Clock, InWorld, Scenario, World, new_connector
from tests.integration.history_store import Store, new_store
from tests.postgres_server import PostgresServer, postgres_server


@pytest.fixture(params=[*ProviderName])
def in_world(request: pytest.FixtureRequest, tmp_path: Path) -> InWorld:
    """Run a scenario in a fresh world of one provider, over HTTP/2 unless its parameter says otherwise."""
    provider, _, over = str(request.param).partition(" over ")
    name = ProviderName(provider)

    def run(scenario: Scenario) -> None:
        async def main() -> None:
            clock = Clock()
            simulators = ProviderSimulators(tmp_path, clock.milliseconds)
            getattr(simulators, name).listener.http2 = not over
            async with simulators:
                connector = new_connector(simulators, name, clock)
                await connector.start()
                try:
                    await scenario(World(name, simulators, clock, connector))
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
