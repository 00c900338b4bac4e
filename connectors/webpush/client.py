"""Speaks to Web Push services, whichever the subscriptions name."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from connectors.credentials import load_p256_key
from connectors.http import Failure, Post
from connectors.http.origins import Origins, OriginsConfig
from connectors.http.outcomes import outcome_of_failure
from connectors.outcome import NotSent, Outcome, ProviderName, Push
from connectors.webpush.credentials import VapidTokens
from connectors.webpush.request import build_request, staying_fields
from connectors.webpush.response import FORBIDDEN, UNAUTHORIZED, outcome_of_answer


@dataclass(frozen=True, slots=True)
class WebPushConfig(OriginsConfig):
    """`subject`: mailto: or https: of whoever runs this. An origin is a push service."""

    vapid_key_file: str
    subject: str


class WebPushConnector:
    """See `connectors.outcome.Connector`. Raises CredentialsError where the VAPID key or subject is not usable."""

    name = ProviderName.WEBPUSH

    def __init__(self, config: WebPushConfig, clock: Callable[[], float] = time.time) -> None:
        key = load_p256_key(config.vapid_key_file, "Web Push vapid_key_file")
        self._config = config
        self._clock = clock
        self._tokens = VapidTokens(key, config.subject, clock)
        self._origins = Origins(config)

    async def start(self) -> None:
        """Nothing: connections are opened by the first push."""

    async def send(self, push: Push, may_start: Callable[[], bool]) -> Outcome:
        """One push; a refused VAPID token is signed anew and the push asked again once, inside the same limit."""
        request = build_request(push, self._clock())
        if isinstance(request, NotSent):
            return request
        give_up_at = time.monotonic() + self._config.request_timeout_seconds
        endpoint, renewed = request.endpoint, False
        while True:
            authorization = self._tokens.authorization(endpoint.origin)
            staying = staying_fields(authorization, push.ttl_seconds, push.urgent)
            post = Post(endpoint.path, staying, request.fields, request.body)
            left_seconds = max(0.0, give_up_at - time.monotonic())
            result = await self._origins.request(endpoint, post, left_seconds, may_start)
            if isinstance(result, Failure):
                return outcome_of_failure(result, one_server=False)
            outcome = outcome_of_answer(result, self._clock())
            refused = isinstance(outcome, NotSent) and outcome.reason in (UNAUTHORIZED, FORBIDDEN)
            if renewed or not refused:
                return outcome
            self._tokens.renew(endpoint.origin, authorization)
            renewed = True

    async def close(self) -> None:
        """Wait briefly for answers, then close."""
        await self._origins.close()
