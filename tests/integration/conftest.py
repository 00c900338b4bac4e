"""What the conformance suite of the connectors asks for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from connectors.outcome import ProviderName
from connectors.simulators import ProviderSimulators
from tests.integration.connector_world import LIMIT_SECONDS, Clock, InWorld, Scenario, World, new_connector


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
