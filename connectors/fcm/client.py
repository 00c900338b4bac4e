"""Speaks to FCM."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from connectors.exchange import CLOSED
from connectors.fcm.credentials import AccessTokens, TokenError, load_service_account
from connectors.fcm.request import FcmRequest, build_request, staying_fields
from connectors.fcm.response import UNAUTHENTICATED, outcome_of_answer
from connectors.http import Answer, HttpClient, HttpConfig, Post
from connectors.http.bearer import BearerConnector
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


class FcmConnector(BearerConnector[FcmRequest]):
    """See `connectors.http.bearer.BearerConnector`. Raises CredentialsError where the service account is not usable."""

    name = ProviderName.FCM

    def __init__(self, config: FcmConfig, clock: Callable[[], float] = time.time) -> None:
        account = load_service_account(config.service_account_file, config.token_url)
        self._config = config
        self._clock = clock
        context = ssl.create_default_context(cafile=config.ca_file)
        self._tokens = AccessTokens(account, context, clock, config.connect_timeout_seconds)
        self._closed = False
        self._path = f"/v1/projects/{account.project_id}/messages:send"
        http = HttpConfig.for_url(
            config.base_url,
            "FCM base_url",
            ca_file=config.ca_file,
            connections=config.connections,
            streams_max=config.streams_max,
            connect_timeout_seconds=config.connect_timeout_seconds,
        )
        super().__init__(HttpClient(http))

    async def start(self) -> None:
        """Nothing: connections and tokens are fetched by the first push."""

    def timeout_seconds(self) -> float:
        return self._config.request_timeout_seconds

    def build(self, push: Push) -> FcmRequest | NotSent:
        return build_request(push, self._clock(), validate_only=self._config.validate_only)

    def authorization(self) -> str:
        """An access token that need not be renewed yet."""
        return "" if self._closed else self._tokens.known()

    async def until_authorization(self, give_up_at: float) -> str | NotSent:
        """A new access token."""
        if self._closed:
            return NotSent(CLOSED, retry=True)
        try:
            async with asyncio.timeout(max(0.0, give_up_at - time.monotonic())):
                return await self._tokens.authorization()
        except TimeoutError:
            return NotSent("token_timeout", retry=True, provider_wide=True)
        except TokenError as error:
            wait_seconds = error.retry_after_seconds
            return NotSent(error.reason, retry=True, retry_after_seconds=wait_seconds, provider_wide=True)

    def post_of(self, request: FcmRequest, authorization: str) -> Post:
        return Post(self._path, staying_fields(authorization), (), request.body)

    def read(self, answer: Answer) -> Outcome:
        return outcome_of_answer(answer, self._clock())

    def renew(self, outcome: NotSent, authorization: str) -> bool:
        if outcome.reason != UNAUTHENTICATED:
            return False
        self._tokens.refuse(authorization)
        return True

    async def close(self) -> None:
        """Wait briefly for answers, then close."""
        self._closed = True
        await self._http.close()
        await self._tokens.close()
