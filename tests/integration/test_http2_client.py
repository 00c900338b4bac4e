"""The HTTP/2 client against servers that are not what they should be: what it says of arrival."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import h2.connection
import h2.events
import pytest
from h2.config import H2Configuration

from connectors.http import Answer, Failure, HttpClient, HttpConfig, Post
from connectors.simulators import Authority, make_authority

LIMIT_SECONDS = 30.0


class Server(asyncio.Protocol):
    """Answers 200 to everything; subclasses misbehave."""

    connections = 0
    requests = 0

    def __init_subclass__(cls) -> None:
        cls.connections = cls.requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        type(self).connections += 1
        self.transport = transport
        self.h2 = h2.connection.H2Connection(H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.StreamEnded):
                type(self).requests += 1
                self.complete(event.stream_id)
        self.flush()

    def complete(self, stream_id: int) -> None:
        self.h2.send_headers(stream_id, [(":status", "200")], end_stream=True)


Scenario = Callable[[int], Awaitable[None]]


def serve(tmp_path: Path, server: type[asyncio.Protocol], scenario: Scenario, alpn: str = "h2") -> Authority:
    authority = make_authority(tmp_path)

    async def main() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(authority.cert_file, authority.key_file)
        context.set_alpn_protocols([alpn])
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=context)
        try:
            await scenario(listening.sockets[0].getsockname()[1])
        finally:
            listening.close()

    asyncio.run(asyncio.wait_for(main(), LIMIT_SECONDS))
    return authority


def config(tmp_path: Path, port: int, **changes: Any) -> HttpConfig:
    return HttpConfig("127.0.0.1", port, ca_file=changes.pop("ca_file", str(tmp_path / "ca.pem")), **changes)


async def ask(client: HttpClient, timeout_seconds: float = 20.0, body: bytes = b"x") -> Answer | Failure:
    return await client.request(Post("/", (("a", "b"),), (), body), timeout_seconds, lambda: True)


def test_a_server_with_an_unknown_authority_gets_nothing(tmp_path: Path) -> None:
    """The certificate is checked against the CA file, or against the system's authorities without one."""

    class Counting(Server):
        pass

    async def scenario(port: int) -> None:
        client = HttpClient(config(tmp_path, port, ca_file=None))
        result = await ask(client)
        assert isinstance(result, Failure)
        assert (result.may_have_arrived, result.reason) == (False, "connect_failed")
        assert "CERTIFICATE_VERIFY_FAILED" in result.detail
        await client.close()

    serve(tmp_path, Counting, scenario)
    assert Counting.requests == 0


def test_a_server_without_http2_gets_nothing(tmp_path: Path) -> None:
    """Where HTTP/1.1 is not wanted, ALPN must settle on h2."""

    async def scenario(port: int) -> None:
        client = HttpClient(config(tmp_path, port, http1=False))
        result = await ask(client)
        assert isinstance(result, Failure)
        assert (result.may_have_arrived, result.reason) == (False, "connect_failed")
        await client.close()

    serve(tmp_path, Server, scenario, alpn="http/1.1")


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_does_not_greet_gets_nothing(tmp_path: Path, greeting: bytes) -> None:
    """Without the server's SETTINGS no request is written, so the failure is certain."""

    class Rude(asyncio.Protocol):
        received = b""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.write(greeting)

        def data_received(self, data: bytes) -> None:
            Rude.received += data

    async def scenario(port: int) -> None:
        client = HttpClient(config(tmp_path, port, connect_timeout_seconds=0.4))
        result = await ask(client)
        assert isinstance(result, Failure)
        assert (result.may_have_arrived, result.reason) == (False, "connect_failed")
        await client.close()

    serve(tmp_path, Rude, scenario)
    assert b"\x82" not in Rude.received[-20:]


def test_a_server_that_falls_silent_is_found_out_by_ping(tmp_path: Path) -> None:
    """No answer to PING ends the connection; what was written may have arrived, and the next request reconnects."""

    class Silent(Server):
        def data_received(self, data: bytes) -> None:
            if Silent.connections > 1:
                super().data_received(data)

    async def scenario(port: int) -> None:
        client = HttpClient(config(tmp_path, port, ping_interval_seconds=0.1, ping_timeout_seconds=0.1))
        result = await ask(client)
        assert result == Failure(True, "connection_lost", "no answer to PING")
        assert isinstance(await ask(client), Answer)
        await client.close()

    serve(tmp_path, Silent, scenario)


def test_what_waits_behind_a_full_socket_is_certainly_not_sent(tmp_path: Path) -> None:
    """While the server does not read, requests wait in our queue, where a time-out is certain."""

    class Clogged(Server):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            # Windows that nothing ever closes, so that only the socket holds requests back.
            self.h2.increment_flow_control_window(2**30)
            self.flush()

        def data_received(self, data: bytes) -> None:
            self.h2.receive_data(data)
            self.flush()
            if Clogged.requests == 0:
                Clogged.requests = 1
                self.transport.pause_reading()

    async def scenario(port: int) -> None:
        client = HttpClient(config(tmp_path, port, connections=1, streams_max=100_000))
        results = await asyncio.gather(*(ask(client, 1.0, bytes(60_000)) for _ in range(300)))
        said = [(result.may_have_arrived, result.reason) for result in results if isinstance(result, Failure)]
        assert len(said) == 300
        assert set(said) == {(True, "timeout"), (False, "queue_timeout")}
        await client.close()

    serve(tmp_path, Clogged, scenario)


def test_work_is_spread_over_the_connections(tmp_path: Path) -> None:
    """More requests than one connection's streams open further connections, up to the limit."""

    class Counting(Server):
        pass

    async def scenario(port: int) -> None:
        client = HttpClient(config(tmp_path, port, connections=3, streams_max=10))
        results = await asyncio.gather(*(ask(client) for _ in range(300)))
        assert all(isinstance(result, Answer) for result in results)
        assert client.in_flight == 0
        await client.close()

    serve(tmp_path, Counting, scenario)
    assert 1 <= Counting.connections <= 3
    assert Counting.requests == 300


def test_an_outage_is_not_hammered(tmp_path: Path) -> None:
    """Failed connects are followed by a wait that grows; every request that waits for one is told its result."""

    async def scenario(port: int) -> None:
        attempts = 0

        async def resolve(host: str, port: int) -> list[str]:
            nonlocal attempts
            attempts += 1
            raise OSError("no such host")

        client = HttpClient(config(tmp_path, port), resolve)
        results = await asyncio.gather(*(ask(client) for _ in range(100)))
        assert set(results) == {Failure(False, "connect_failed", "no such host")}
        assert attempts == 1
        await client.close()

    serve(tmp_path, Server, scenario)


def test_a_broken_may_start_hurts_nobody_else(tmp_path: Path) -> None:
    """An exception in one caller's `may_start` goes to that caller; the request is not written."""

    class Counting(Server):
        pass

    async def scenario(port: int) -> None:
        client = HttpClient(config(tmp_path, port))

        def broken() -> bool:
            raise RuntimeError("mine")

        first = asyncio.ensure_future(client.request(Post("/", (), (), b""), 20.0, broken))
        second = asyncio.ensure_future(ask(client))
        with pytest.raises(RuntimeError, match="mine"):
            await first
        assert isinstance(await second, Answer)
        await client.close()

    serve(tmp_path, Counting, scenario)
    assert Counting.requests == 1


def test_a_request_without_time_is_not_written(tmp_path: Path) -> None:
    """A time limit that is already over is a certain outcome."""

    class Counting(Server):
        pass

    async def scenario(port: int) -> None:
        client = HttpClient(config(tmp_path, port))
        assert isinstance(await ask(client), Answer)
        result = await ask(client, 0.0)
        assert isinstance(result, Failure)
        assert not result.may_have_arrived
        assert isinstance(await ask(client), Answer)
        await client.close()

    serve(tmp_path, Counting, scenario)
    assert Counting.requests == 2
