"""Speaks to APNs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from connectors.apns.credentials import ProviderTokens
from connectors.apns.request import ApnsRequest, build_request, staying_fields
from connectors.apns.response import EXPIRED_PROVIDER_TOKEN, outcome_of_answer
from connectors.credentials import CredentialsError, load_p256_key
from connectors.http import Answer, HttpClient, HttpConfig, Post
from connectors.http.bearer import BearerConnector
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


class ApnsConnector(BearerConnector[ApnsRequest]):
    """See `connectors.http.bearer.BearerConnector`. Raises CredentialsError where the key is not usable."""

    name = ProviderName.APNS

    def __init__(self, config: ApnsConfig, clock: Callable[[], float] = time.time) -> None:
        key = load_p256_key(config.key_file, "APNs key_file")
        for setting, value in (("key_id", config.key_id), ("team_id", config.team_id), ("topic", config.topic)):
            if not (value.isascii() and value.isprintable() and value.strip() == value and value):
                raise CredentialsError(f"APNs {setting} is not set. Take it from the developer account.")
        self._config = config
        self._clock = clock
        self._tokens = ProviderTokens(key, config.key_id, config.team_id, clock)
        http = HttpConfig.for_url(
            config.base_url,
            "APNs base_url",
            ca_file=config.ca_file,
            connections=config.connections,
            streams_max=config.streams_max,
            connect_timeout_seconds=config.connect_timeout_seconds,
            http1=False,  # Apple speaks HTTP/2 only: whoever does not is not Apple
        )
        super().__init__(HttpClient(http))

    async def start(self) -> None:
        """Nothing: connections are opened by the first push."""

    def timeout_seconds(self) -> float:
        return self._config.request_timeout_seconds

    def build(self, push: Push) -> ApnsRequest | NotSent:
        return build_request(push, self._clock())

    def authorization(self) -> str:
        """The provider token, which is made here: nobody waits for it."""
        return self._tokens.authorization()

    def post_of(self, request: ApnsRequest, authorization: str) -> Post:
        path, fields, body, urgent, background = request
        return Post(path, staying_fields(authorization, self._config.topic, urgent, background), fields, body)

    def read(self, answer: Answer) -> Outcome:
        return outcome_of_answer(answer, self._clock())

    def renew(self, outcome: NotSent, authorization: str) -> bool:
        return outcome.reason == EXPIRED_PROVIDER_TOKEN and self._tokens.renew(authorization)

    async def close(self) -> None:
        """Wait briefly for answers, then close."""
        await self._http.close()
