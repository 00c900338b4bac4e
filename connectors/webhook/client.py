"""Speaks to receivers of webhooks, whichever the users' devices name."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from connectors.http import Failure, Post
from connectors.http.origins import Origins, OriginsConfig
from connectors.http.outcomes import outcome_of_failure
from connectors.outcome import NotSent, Outcome, ProviderName, Push
from connectors.webhook.credentials import load_secrets, sign
from connectors.webhook.request import STAYING_FIELDS, build_request
from connectors.webhook.response import outcome_of_answer


@dataclass(frozen=True, slots=True)
class WebhookConfig(OriginsConfig):
    """`secret_file`: one or more signing secrets, `whsec_…`, one a line. An origin is a receiver."""

    secret_file: str


class WebhookConnector:
    """See `connectors.outcome.Connector`. Raises CredentialsError where the secrets are not usable."""

    name = ProviderName.WEBHOOK

    def __init__(self, config: WebhookConfig, clock: Callable[[], float] = time.time) -> None:
        self._secrets = load_secrets(config.secret_file)
        self._config = config
        self._clock = clock
        self._origins = Origins(config)

    async def start(self) -> None:
        """Nothing: connections are opened by the first push."""

    async def send(self, push: Push, may_start: Callable[[], bool]) -> Outcome:
        """One push, signed for this attempt; its id is the same over all attempts, so that a receiver can know it."""
        now, timeout_seconds = self._clock(), self._config.request_timeout_seconds
        request = build_request(push, now)
        if isinstance(request, NotSent):
            return request
        endpoint, body = request
        post = Post(endpoint.path, STAYING_FIELDS, sign(self._secrets, push.push_id, int(now), body), body)
        result = await self._origins.request(endpoint, post, timeout_seconds, may_start)
        if isinstance(result, Failure):
            return outcome_of_failure(result, one_server=False)
        return outcome_of_answer(result, self._clock())

    async def close(self) -> None:
        """Wait briefly for answers, then close."""
        await self._origins.close()
