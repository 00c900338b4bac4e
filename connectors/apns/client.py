"""Speaks to APNs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from connectors.apns.credentials import ProviderTokens
from connectors.apns.request import build_request, is_background, staying_fields
from connectors.apns.response import EXPIRED_PROVIDER_TOKEN, outcome_of_answer
from connectors.credentials import CredentialsError, load_p256_key
from connectors.http import Failure, HttpClient, HttpConfig
from connectors.http.outcomes import outcome_of_failure
from connectors.outcome import NotSent, Outcome, ProviderName, Push


@dataclass(frozen=True, slots=True)
class ApnsConfig:
    """`key_file`: the .p8 file of the signing key. `topic`: the bundle id. `request_timeout_seconds`: for a whole
    `send`. `streams_max`: for each connection; the server's own lower limit is honoured."""

    base_url: str
    key_file: str
    key_id: str
    team_id: str
    topic: str
    ca_file: str | None = None
    connections: int = 2
    streams_max: int = 500
    request_timeout_seconds: float = 10.0
    connect_timeout_seconds: float = 5.0


class ApnsConnector:
    """See `connectors.outcome.Connector`. Raises CredentialsError where the key is not usable."""

    name = ProviderName.APNS

    def __init__(self, config: ApnsConfig, clock: Callable[[], float] = time.time) -> None:
        key = load_p256_key(config.key_file, "APNs key_file")
        for setting, value in (("key_id", config.key_id), ("team_id", config.team_id), ("topic", config.topic)):
            if not (value.isascii() and value.isprintable() and value.strip() == value and value):
                raise CredentialsError(f"APNs {setting} is not set. Take it from the developer account.")
        self._config = config
        self._clock = clock
        self._tokens = ProviderTokens(key, config.key_id, config.team_id, clock)
        self._http = HttpClient(
            HttpConfig.for_url(
                config.base_url,
                "APNs base_url",
                ca_file=config.ca_file,
                connections=config.connections,
                streams_max=config.streams_max,
                connect_timeout_seconds=config.connect_timeout_seconds,
                http1=False,  # Apple speaks HTTP/2 only: whoever does not is not Apple
            )
        )

    async def start(self) -> None:
        """Nothing: connections are opened by the first push."""

    async def send(self, push: Push, may_start: Callable[[], bool]) -> Outcome:
        """One push; a refused provider token is renewed and the push asked again once, inside the same limit."""
        request = build_request(push, self._clock())
        if isinstance(request, NotSent):
            return request
        give_up_at = time.monotonic() + self._config.request_timeout_seconds
        renewed = False
        while True:
            authorization = self._tokens.authorization()
            staying = staying_fields(authorization, self._config.topic, push.urgent, is_background(push))
            left_seconds = max(0.0, give_up_at - time.monotonic())
            result = await self._http.request(
                request.path, staying, request.fields, request.body, left_seconds, may_start
            )
            if isinstance(result, Failure):
                return outcome_of_failure(result, one_server=True)
            outcome = outcome_of_answer(result, self._clock())
            expired = isinstance(outcome, NotSent) and outcome.reason == EXPIRED_PROVIDER_TOKEN
            if renewed or not expired or not self._tokens.renew(authorization):
                return outcome
            renewed = True

    async def close(self) -> None:
        """Wait briefly for answers, then close."""
        await self._http.close()
