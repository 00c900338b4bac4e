"""Endpoints that are user input: how many origins are spoken to, and which are not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from connectors.exchange import CLOSED, Answer, Failure, Post
from connectors.http.endpoint import Endpoint, parse_endpoint
from connectors.http.origins import Origins, OriginsConfig
from connectors.http.outcomes import PRIVATE_ADDRESS, TOO_MANY_ORIGINS
from connectors.simulators import Fault, ProviderSimulators

LIMIT_SECONDS = 30.0


async def ask(origins: Origins, endpoint: Endpoint) -> Answer | Failure:
    return await origins.request(endpoint, Post(endpoint.path, (), (), b""), 20.0, lambda: True)


def at(url: str) -> Endpoint:
    endpoint = parse_endpoint(url)
    assert endpoint is not None
    return endpoint


def test_no_more_origins_are_busy_than_there_may_be(tmp_path: Path) -> None:
    """One that is idle makes room for another one; while all are busy, further ones are certainly not asked."""

    async def scenario() -> None:
        async with ProviderSimulators(tmp_path) as simulators:
            config = OriginsConfig(ca_file=str(simulators.ca_file), origins_max=1, allow_private_endpoints=True)
            origins = Origins(config)
            first, second = at(simulators.webhook.url), at(simulators.webpush.url)
            assert isinstance(await ask(origins, first), Answer)
            assert isinstance(await ask(origins, second), Answer)
            assert isinstance(await ask(origins, first), Answer)
            simulators.webhook.faults.set(Fault.SLOW, count=1, seconds=0.2)
            slow = asyncio.ensure_future(ask(origins, first))
            while not simulators.webhook.faults.struck[Fault.SLOW]:  # noqa: ASYNC110 (nobody signals it)
                await asyncio.sleep(0.001)
            assert await ask(origins, second) == Failure(False, TOO_MANY_ORIGINS)
            assert isinstance(await slow, Answer)
            assert isinstance(await ask(origins, second), Answer)
            await origins.close()
            assert await ask(origins, second) == Failure(False, CLOSED)

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_SECONDS))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254"])
def test_no_address_of_our_own_network_is_asked(host: str) -> None:
    """The failure is certain and names its reason."""

    async def scenario() -> None:
        origins = Origins(OriginsConfig())
        result = await ask(origins, at(f"https://{host}/latest/meta-data"))
        assert isinstance(result, Failure)
        assert (result.may_have_arrived, result.reason) == (False, PRIVATE_ADDRESS)
        await origins.close()

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_SECONDS))
