"""The service account and the access tokens of FCM; the token endpoint is the simulator's."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from connectors.credentials import CredentialsError
from connectors.fcm.credentials import RENEW_EARLY_SECONDS, AccessTokens, TokenError, load_service_account
from connectors.simulators import Fault, ProviderSimulators


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


Scenario = Callable[[ProviderSimulators, AccessTokens, Clock], Coroutine[Any, Any, None]]


def run(tmp_path: Path, scenario: Scenario) -> None:
    async def main() -> None:
        clock = Clock()
        async with ProviderSimulators(tmp_path, lambda: int(clock.now * 1000)) as simulators:
            account = load_service_account(str(simulators.fcm.service_account_file))
            tokens = AccessTokens(account, ssl.create_default_context(cafile=str(simulators.ca_file)), clock, 5.0)
            try:
                await asyncio.wait_for(scenario(simulators, tokens, clock), 30)
            finally:
                await tokens.close()

    asyncio.run(main())


def test_a_hundred_sends_share_one_request_for_a_token(tmp_path: Path) -> None:
    """However many wait, the endpoint is asked once."""

    async def scenario(simulators: ProviderSimulators, tokens: AccessTokens, clock: Clock) -> None:
        given = await asyncio.gather(*(tokens.authorization() for _ in range(100)))
        assert len(set(given)) == 1
        assert simulators.fcm.tokens.issued == 1

    run(tmp_path, scenario)


def test_a_token_is_renewed_before_its_end_while_it_still_serves(tmp_path: Path) -> None:
    """In its last minutes the old token is handed out at once, and the next one is on its way.

    |---------------- 3599 s ----------------|
                                   |--300 s--|   old one serves, new one is fetched
    """

    async def scenario(simulators: ProviderSimulators, tokens: AccessTokens, clock: Clock) -> None:
        old = await tokens.authorization()
        clock.now += 3_599 - RENEW_EARLY_SECONDS + 1
        assert await tokens.authorization() == old
        while await tokens.authorization() == old:  # noqa: ASYNC110 (the renewal signals nobody; run() limits it)
            await asyncio.sleep(0.001)
        assert simulators.fcm.tokens.issued == 2

    run(tmp_path, scenario)


def test_a_token_that_fcm_refused_is_replaced_once(tmp_path: Path) -> None:
    """Refusals of the same token by many sends cost one new token."""

    async def scenario(simulators: ProviderSimulators, tokens: AccessTokens, clock: Clock) -> None:
        old = await tokens.authorization()
        for _ in range(10):
            tokens.refuse(old)
        new = await tokens.authorization()
        tokens.refuse(old)
        assert await tokens.authorization() == new != old
        assert simulators.fcm.tokens.issued == 2

    run(tmp_path, scenario)


def test_a_send_that_is_given_up_does_not_take_the_token_from_the_others(tmp_path: Path) -> None:
    """Cancelling the one who asked first leaves the request for the token to those who wait."""

    async def scenario(simulators: ProviderSimulators, tokens: AccessTokens, clock: Clock) -> None:
        first = asyncio.ensure_future(tokens.authorization())
        second = asyncio.ensure_future(tokens.authorization())
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).startswith("Bearer ")

    run(tmp_path, scenario)


def test_a_failing_endpoint_is_left_alone_for_a_while(tmp_path: Path) -> None:
    """After a failure sends are told at once how long to wait; after that the endpoint is asked again."""

    async def scenario(simulators: ProviderSimulators, tokens: AccessTokens, clock: Clock) -> None:
        simulators.fcm.token_faults.set(Fault.UNAVAILABLE)
        for _ in range(3):
            with pytest.raises(TokenError) as raised:
                await tokens.authorization()
            assert 0 < raised.value.retry_after_seconds <= 1
        assert sum(simulators.fcm.token_faults.struck.values()) == 1
        simulators.fcm.token_faults.clear()
        clock.now += 2
        assert (await tokens.authorization()).startswith("Bearer ")

    run(tmp_path, scenario)


def test_a_valid_token_serves_while_the_endpoint_fails(tmp_path: Path) -> None:
    """An outage of the token endpoint does not stop pushes before the token's real end."""

    async def scenario(simulators: ProviderSimulators, tokens: AccessTokens, clock: Clock) -> None:
        old = await tokens.authorization()
        simulators.fcm.token_faults.set(Fault.UNAVAILABLE)
        clock.now += 3_599 - RENEW_EARLY_SECONDS + 1
        for _ in range(50):
            assert await tokens.authorization() == old
            await asyncio.sleep(0.001)

    run(tmp_path, scenario)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", json.dumps({"type": "authorized_user"})])
def test_a_file_that_is_no_service_account_is_named(tmp_path: Path, content: str | None) -> None:
    """The error names the setting."""
    path = tmp_path / "account.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CredentialsError, match="FCM service_account_file"):
        load_service_account(str(path))


def test_a_broken_key_is_not_shown(tmp_path: Path) -> None:
    """The error about the private key does not contain it."""
    path = tmp_path / "account.json"
    account = {"project_id": "p", "client_email": "c", "private_key": "hush", "token_uri": "https://t"}
    path.write_text(json.dumps(account))
    with pytest.raises(CredentialsError, match="private_key") as raised:
        load_service_account(str(path))
    assert "hush" not in str(raised.value)
