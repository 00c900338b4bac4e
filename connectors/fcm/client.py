"""Speaks to FCM."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from connectors.exchange import CLOSED
from connectors.fcm.credentials import AccessTokens, TokenError, load_service_account
from connectors.fcm.request import build_request, staying_fields
from connectors.fcm.response import UNAUTHENTICATED, outcome_of_answer
from connectors.http import Failure, HttpClient, HttpConfig
from connectors.http.outcomes import outcome_of_failure
from connectors.outcome import NotSent, Outcome, ProviderName, Push


@dataclass(frozen=True, slots=True)
class FcmConfig:
    """`token_url`: in place of the one in the file. `request_timeout_seconds`: for a whole `send`, with waiting for an
    access token. `streams_max`: for each connection; the server's own lower limit is honoured. `validate_only`: a dry
    run, FCM checks every message and delivers none."""

    base_url: str
    service_account_file: str
    token_url: str | None = None
    ca_file: str | None = None
    connections: int = 4
    streams_max: int = 500
    request_timeout_seconds: float = 10.0
    connect_timeout_seconds: float = 5.0
    validate_only: bool = False


class FcmConnector:
    """See `connectors.outcome.Connector`. Raises CredentialsError where the service account is not usable."""

    name = ProviderName.FCM

    def __init__(self, config: FcmConfig, clock: Callable[[], float] = time.time) -> None:
        account = load_service_account(config.service_account_file, config.token_url)
        self._config = config
        self._clock = clock
        context = ssl.create_default_context(cafile=config.ca_file)
        self._tokens = AccessTokens(account, context, clock, config.connect_timeout_seconds)
        self._closed = False
        self._path = f"/v1/projects/{account.project_id}/messages:send"
        self._http = HttpClient(
            HttpConfig.for_url(
                config.base_url,
                "FCM base_url",
                ca_file=config.ca_file,
                connections=config.connections,
                streams_max=config.streams_max,
                connect_timeout_seconds=config.connect_timeout_seconds,
            )
        )

    async def start(self) -> None:
        """Nothing: connections and tokens are fetched by the first push."""

    async def send(self, push: Push, may_start: Callable[[], bool]) -> Outcome:
        """One push; a refused access token is renewed and the push asked again once, inside the same limit."""
        request = build_request(push, self._clock(), validate_only=self._config.validate_only)
        if isinstance(request, NotSent):
            return request
        give_up_at = time.monotonic() + self._config.request_timeout_seconds
        renewed = False
        while True:
            if self._closed:
                return NotSent(CLOSED, retry=True)
            authorization = self._tokens.known()
            if not authorization:
                found = await self._authorization(give_up_at)
                if isinstance(found, NotSent):
                    return found
                authorization = found
            left_seconds = max(0.0, give_up_at - time.monotonic())
            result = await self._http.request(
                self._path, staying_fields(authorization), (), request.body, left_seconds, may_start
            )
            if isinstance(result, Failure):
                return outcome_of_failure(result, one_server=True)
            outcome = outcome_of_answer(result, self._clock())
            if renewed or not isinstance(outcome, NotSent) or outcome.reason != UNAUTHENTICATED:
                return outcome
            self._tokens.refuse(authorization)
            renewed = True

    async def close(self) -> None:
        """Wait briefly for answers, then close."""
        self._closed = True
        await self._http.close()
        await self._tokens.close()

    async def _authorization(self, give_up_at: float) -> str | NotSent:
        """A new access token, or why there is none."""
        try:
            async with asyncio.timeout(max(0.0, give_up_at - time.monotonic())):
                return await self._tokens.authorization()
        except TimeoutError:
            return NotSent("token_timeout", retry=True, provider_wide=True)
        except TokenError as error:
            wait_seconds = error.retry_after_seconds
            return NotSent(error.reason, retry=True, retry_after_seconds=wait_seconds, provider_wide=True)
