"""Requests to endpoints that are user input: a client for each origin, and addresses of the public internet only."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from connectors.exchange import CLOSED, Answer, ConnectError, Failure, Post
from connectors.http.client import HttpClient
from connectors.http.config import HttpConfig
from connectors.http.connect import resolve_by_system, tls_context
from connectors.http.endpoint import Endpoint, is_public_address
from connectors.http.outcomes import PRIVATE_ADDRESS, TOO_MANY_ORIGINS


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginsConfig:
    """What connectors to such endpoints have in common. `connections`, `streams_max`: for each origin. `origins_max`:
    spoken to at a time; beyond, the one that was idle longest is closed. `request_timeout_seconds`: for a whole `send`.
    `allow_private_endpoints`: for tests and the demo only."""

    ca_file: str | None = None
    connections: int = 2
    streams_max: int = 500
    origins_max: int = 256
    request_timeout_seconds: float = 10.0
    connect_timeout_seconds: float = 5.0
    allow_private_endpoints: bool = False


class Origins:
    """The clients that there are. Raises OSError for a CA file that cannot be read."""

    def __init__(self, config: OriginsConfig) -> None:
        self._config = config
        # One for all: to read the system's authorities takes 10 ms.
        self._context = tls_context(config.ca_file, http1=True)
        self._resolve = resolve_by_system if config.allow_private_endpoints else resolve_public
        self._clients: OrderedDict[str, HttpClient] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def request(
        self, endpoint: Endpoint, post: Post, timeout_seconds: float, may_start: Callable[[], bool]
    ) -> Answer | Failure:
        """As `HttpClient.request`, to the origin of `endpoint`."""
        if self._closed:
            return Failure(False, CLOSED)
        client = self._client(endpoint)
        if client is None:
            return Failure(False, TOO_MANY_ORIGINS)
        return await client.request(post, timeout_seconds, may_start)

    async def close(self) -> None:
        """Wait briefly for answers, then close."""
        self._closed = True
        clients, self._clients = list(self._clients.values()), OrderedDict()
        await asyncio.gather(*(client.close() for client in clients), *self._closing)

    def _client(self, endpoint: Endpoint) -> HttpClient | None:
        """The client of this origin; None where too many others are busy."""
        client = self._clients.get(endpoint.origin)
        if client is None:
            config = self._config
            if len(self._clients) >= config.origins_max and not self._evict():
                return None
            http = HttpConfig(
                endpoint.host,
                endpoint.port,
                connections=config.connections,
                streams_max=config.streams_max,
                connect_timeout_seconds=config.connect_timeout_seconds,
            )
            client = self._clients[endpoint.origin] = HttpClient(http, self._resolve, self._context)
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
