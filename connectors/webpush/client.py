"""Speaks to Web Push services, whichever the subscriptions name."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from connectors.credentials import load_p256_key
from connectors.exchange import CLOSED, ConnectError
from connectors.http import Failure, HttpClient, HttpConfig
from connectors.http.connect import resolve_by_system
from connectors.http.endpoint import Endpoint, is_public_address
from connectors.http.outcomes import PRIVATE_ADDRESS, outcome_of_failure
from connectors.outcome import NotSent, Outcome, ProviderName, Push
from connectors.webpush.credentials import VapidTokens
from connectors.webpush.request import build_request, staying_fields
from connectors.webpush.response import FORBIDDEN, UNAUTHORIZED, outcome_of_answer


@dataclass(frozen=True, slots=True)
class WebPushConfig:
    """`subject`: mailto: or https: of whoever runs this. `connections`, `streams_max`: for each push service.
    `origins_max`: push services spoken to at a time. `allow_private_endpoints`: for tests and the demo only."""

    vapid_key_file: str
    subject: str
    ca_file: str | None = None
    connections: int = 2
    streams_max: int = 500
    origins_max: int = 256
    request_timeout_seconds: float = 10.0
    connect_timeout_seconds: float = 5.0
    allow_private_endpoints: bool = False


class WebPushConnector:
    """See `connectors.outcome.Connector`. Raises CredentialsError where the VAPID key or subject is not usable."""

    name = ProviderName.WEBPUSH

    def __init__(self, config: WebPushConfig, clock: Callable[[], float] = time.time) -> None:
        key = load_p256_key(config.vapid_key_file, "Web Push vapid_key_file")
        self._config = config
        self._clock = clock
        self._tokens = VapidTokens(key, config.subject, clock)
        self._clients: OrderedDict[str, HttpClient] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

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
            if self._closed:
                return NotSent(CLOSED, retry=True)
            http = self._client(endpoint)
            if http is None:
                return NotSent("too_many_push_services", retry=True)
            authorization = self._tokens.authorization(endpoint.origin)
            staying = staying_fields(authorization, push.ttl_seconds, push.urgent)
            left_seconds = max(0.0, give_up_at - time.monotonic())
            result = await http.request(endpoint.path, staying, request.fields, request.body, left_seconds, may_start)
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
        self._closed = True
        clients, self._clients = list(self._clients.values()), OrderedDict()
        await asyncio.gather(*(client.close() for client in clients), *self._closing)

    def _client(self, endpoint: Endpoint) -> HttpClient | None:
        """The client of this origin; None where too many others are busy."""
        client = self._clients.get(endpoint.origin)
        if client is None:
            if len(self._clients) >= self._config.origins_max and not self._evict():
                return None
            config = self._config
            client = HttpClient(
                HttpConfig(
                    endpoint.host,
                    endpoint.port,
                    config.ca_file,
                    config.connections,
                    config.streams_max,
                    config.connect_timeout_seconds,
                ),
                resolve_by_system if config.allow_private_endpoints else resolve_public,
            )
            self._clients[endpoint.origin] = client
        self._clients.move_to_end(endpoint.origin)
        return client

    def _evict(self) -> bool:
        """Close the client that was idle longest."""
        for origin, client in self._clients.items():
            if client.in_flight == 0:
                del self._clients[origin]
                task = asyncio.get_running_loop().create_task(client.close())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
                return True
        return False


async def resolve_public(host: str, port: int) -> list[str]:
    """The public addresses of a host. Raises ConnectError where it has others only, OSError where it has none."""
    addresses = await resolve_by_system(host, port)
    public = [address for address in addresses if is_public_address(address)]
    if not public:
        raise ConnectError(f"{host} has no public address", PRIVATE_ADDRESS)
    return public
