"""The client against servers of HTTP/1.1: aiohttp, and sockets that misbehave. What it says of arrival must be true."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop
from aiohttp import web

from connectors.http import Answer, Failure, HttpClient, HttpConfig, Post
from connectors.http.config import HTTP1_CONNECTIONS_FACTOR
from connectors.http1.connection import IDLE_SECONDS, Http1Connection
from connectors.simulators import Authority, make_authority

LIMIT_SECONDS = 30.0
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path)


Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a scenario within the time that any of them may take, on each of the loops that a worker may have."""

    def run_scenario(scenario: Coroutine[Any, Any, None]) -> None:
        async def main() -> None:
            async with asyncio.timeout(LIMIT_SECONDS):
                await scenario

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return run_scenario


def server_context(authority: Authority, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.cert_file, authority.key_file)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


class Receiver:
    """An aiohttp server. `arrived` counts requests by their body, `peers` by the connection that brought them."""

    def __init__(self) -> None:
        self.port = 0
        self.arrived: Counter[bytes] = Counter()
        self.peers: Counter[Any] = Counter()
        self.open_at_once = 0
        self.busy = 0
        self.reached = asyncio.Event()

    async def take(self, request: web.Request) -> web.StreamResponse:
        """What a subclass answers differently."""
        return web.Response(text="ok")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.busy += 1
        self.open_at_once = max(self.open_at_once, self.busy)
        try:
            assert request.transport is not None
            self.peers[request.transport.get_extra_info("peername")] += 1
            self.reached.set()
            self.arrived[await request.read()] += 1
            return await self.take(request)
        finally:
            self.busy -= 1


@asynccontextmanager
async def serving(authority: Authority, receiver: Receiver, *protocols: str, **options: Any) -> AsyncIterator[None]:
    """While it is entered, aiohttp answers by the receiver."""
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1, **options)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(authority, *protocols))
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def speaking_to(authority: Authority, port: int, **changes: Any) -> AsyncIterator[HttpClient]:
    """A client that is closed at the end."""
    client = HttpClient(HttpConfig("127.0.0.1", port, str(authority.ca_file), **changes))
    try:
        yield client
    finally:
        await client.close()


async def ask(
    client: HttpClient,
    body: bytes = b"x",
    timeout_seconds: float = 20.0,
    may_start: Callable[[], bool] = lambda: True,
) -> Answer | Failure:
    return await client.request(Post("/hook?a=b", (("x-a", "b"),), (("x-c", "d"),), body), timeout_seconds, may_start)


@pytest.mark.parametrize("protocols", [(), ("http/1.1",), ("http/1.1", "h2")], ids=["no ALPN", "http/1.1", "prefers"])
def test_every_request_arrives_once_over_connections_that_stay(
    authority: Authority, protocols: tuple[str, ...], run: Run
) -> None:
    """Two hundred at once, over at most HTTP1_CONNECTIONS_FACTOR times as many connections as of HTTP/2."""

    async def scenario() -> None:
        receiver = Receiver()
        async with (
            serving(authority, receiver, *protocols),
            speaking_to(authority, receiver.port, connections=1) as client,
        ):
            bodies = [b"%d" % number for number in range(200)]
            results = await asyncio.gather(*(ask(client, body) for body in bodies))
            assert {(result.status, result.body) for result in results if isinstance(result, Answer)} == {(200, b"ok")}
            assert all(isinstance(result, Answer) for result in results)
            assert receiver.arrived == dict.fromkeys(bodies, 1)
            assert 1 < len(receiver.peers) <= HTTP1_CONNECTIONS_FACTOR
            assert receiver.open_at_once <= HTTP1_CONNECTIONS_FACTOR
            assert client.in_flight == 0

    run(scenario())


def test_a_receiver_that_closes_each_time_gets_each_request_once(authority: Authority, run: Run) -> None:
    """Connection: close is honoured: one request a connection, and no request meets the close."""

    class Closing(Receiver):
        async def take(self, request: web.Request) -> web.StreamResponse:
            response = web.Response(text="ok")
            response.force_close()
            return response

    async def scenario() -> None:
        receiver = Closing()
        async with serving(authority, receiver), speaking_to(authority, receiver.port, connections=1) as client:
            results = [await ask(client, b"%d" % number) for number in range(10)]
            results += await asyncio.gather(*(ask(client, b"%d" % number) for number in range(10, 40)))
            assert all(isinstance(result, Answer) for result in results)
            assert set(receiver.arrived.values()) == {1}
            assert len(receiver.peers) == 40

    run(scenario())


def test_an_answer_in_chunks_is_read_whole(authority: Authority, run: Run) -> None:
    """And the connection goes on."""

    class Chunks(Receiver):
        async def answer(self, request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            self.peers[request.transport.get_extra_info("peername")] += 1
            response = web.StreamResponse(status=202)
            response.enable_chunked_encoding()
            await response.prepare(request)
            for part in (b"one ", b"two ", b"three"):
                await response.write(part)
            await response.write_eof()
            return response

    async def scenario() -> None:
        receiver = Chunks()
        async with serving(authority, receiver), speaking_to(authority, receiver.port, connections=1) as client:
            for _ in range(2):
                answer = await ask(client)
                assert isinstance(answer, Answer)
                assert (answer.status, answer.body) == (202, b"one two three")
            assert list(receiver.peers.values()) == [2], "the same connection"

    run(scenario())


def test_an_idle_connection_that_the_receiver_closes_is_a_normal_event(authority: Authority, run: Run) -> None:
    """aiohttp closes after its keep-alive time; the next request goes over another connection, and nothing fails."""

    async def scenario() -> None:
        receiver = Receiver()
        async with (
            serving(authority, receiver, keepalive_timeout=0.05),
            speaking_to(authority, receiver.port, connections=1) as client,
        ):
            for number in range(3):
                assert isinstance(await ask(client, b"%d" % number), Answer)
                (connection,) = client._connections
                await connection.lost
            assert set(receiver.arrived.values()) == {1}
            assert len(receiver.peers) == 3

    run(scenario())


@pytest.mark.parametrize("told", [False, True], ids=["by itself", "told"])
def test_an_idle_connection_is_left_before_the_receiver_closes_it(authority: Authority, run: Run, told: bool) -> None:
    """After IDLE_SECONDS, or a second less than the receiver says, it is not used again."""

    class Telling(Receiver):
        async def take(self, request: web.Request) -> web.StreamResponse:
            return web.Response(text="ok", headers={"Keep-Alive": "timeout=1"} if told else {})

    async def scenario() -> None:
        receiver = Telling()
        async with serving(authority, receiver), speaking_to(authority, receiver.port) as client:
            for number in range(3):
                assert isinstance(await ask(client, b"%d" % number), Answer)
                for connection in client._connections:
                    assert isinstance(connection, Http1Connection)
                    if not told:
                        connection._idle_since -= IDLE_SECONDS  # so long ago, as far as it knows
            assert len(receiver.peers) == 3

    run(scenario())


def test_a_close_that_the_loop_has_not_read_yet_costs_no_request(authority: Authority, run: Run) -> None:
    """The receiver's close is in our socket while the event loop is busy: the next request takes another connection."""
    answered, closed = threading.Event(), threading.Event()
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    listening.load_cert_chain(authority.cert_file, authority.key_file)
    with socket.create_server(("127.0.0.1", 0)) as server:
        requests: list[bytes] = []

        def serve() -> None:
            for _ in range(2):
                plain, _ = server.accept()
                with listening.wrap_socket(plain, server_side=True) as connection:
                    requests.append(connection.recv(65_536))
                    connection.sendall(OK)
                    if len(requests) == 1:
                        answered.wait(LIMIT_SECONDS)
                closed.set()

        thread = threading.Thread(target=serve)
        thread.start()

        async def scenario() -> None:
            async with speaking_to(authority, server.getsockname()[1], connections=1) as client:
                assert isinstance(await ask(client), Answer)
                answered.set()
                closed.wait(LIMIT_SECONDS)  # the event loop stands still meanwhile
                assert isinstance(await ask(client), Answer)

        run(scenario())
        thread.join(LIMIT_SECONDS)
    assert len(requests) == 2


class Rude(asyncio.Protocol):
    """A server that does something else than to answer; `requests` counts what reached any of its connections."""

    connections = requests = 0

    def __init_subclass__(cls) -> None:
        cls.connections = cls.requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        type(self).connections += 1
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"POST"):
            type(self).requests += 1
            self.complete()

    def complete(self) -> None:
        """What becomes of a request."""


@asynccontextmanager
async def rude(authority: Authority, server: type[Rude], **changes: Any) -> AsyncIterator[HttpClient]:
    """A client of such a server."""
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(server, "127.0.0.1", 0, ssl=server_context(authority))
    try:
        async with speaking_to(authority, listening.sockets[0].getsockname()[1], **changes) as client:
            yield client
    finally:
        listening.close()


def test_a_server_that_ends_every_connection_is_not_hammered(authority: Authority, run: Run) -> None:
    """Where its end comes before a request was written the failure is certain, and followed by a wait that grows."""

    class Ending(Rude):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.close()

    async def scenario() -> None:
        async with rude(authority, Ending) as client:
            results: list[Answer | Failure] = []
            give_up_at = asyncio.get_running_loop().time() + 1.0
            while asyncio.get_running_loop().time() < give_up_at:
                results += await asyncio.gather(*(ask(client) for _ in range(3)))
            said = Counter(
                (result.may_have_arrived, result.reason) for result in results if isinstance(result, Failure)
            )
            assert set(said) <= {(False, "connect_failed"), (True, "connection_lost")}
            assert said.total() == len(results)
            # After 0.1, 0.2, 0.4 and 0.8 s, and a second one beside each whose end is not known yet.
            assert Ending.connections <= said[True, "connection_lost"] + 10

    run(scenario())


def test_a_request_that_was_written_and_cut_is_in_doubt_and_not_sent_again(authority: Authority, run: Run) -> None:
    """On a new and on a reused connection, with a reset and with a clean close."""

    class Cutting(Rude):
        def complete(self) -> None:
            if Cutting.requests == 2:
                self.transport.write(OK)
            elif Cutting.requests == 3:
                self.transport.abort()
            else:
                self.transport.close()

    async def scenario() -> None:
        async with rude(authority, Cutting, connections=1) as client:
            results = [await ask(client) for _ in range(4)]
            kinds = [isinstance(result, Failure) and (result.may_have_arrived, result.reason) for result in results]
            assert kinds == [(True, "connection_lost"), False, (True, "connection_lost"), (True, "connection_lost")]

    run(scenario())
    assert Cutting.requests == 4


def test_a_server_that_never_answers_leaves_one_request_in_doubt(authority: Authority, run: Run) -> None:
    """After its time it may have arrived; its connection is given up, so that a late answer belongs to nobody."""

    class Late(Rude):
        def complete(self) -> None:
            if Late.requests > 1:
                self.transport.write(OK)

    async def scenario() -> None:
        async with rude(authority, Late, connections=1) as client:
            assert await ask(client, timeout_seconds=0.3) == Failure(True, "timeout")
            assert isinstance(await ask(client), Answer)

    run(scenario())
    assert (Late.requests, Late.connections) == (2, 2)


def test_a_refusal_that_comes_before_the_request_was_read_counts(authority: Authority, run: Run) -> None:
    """The server answers, says that it closes, and reads no more: it is answered, and the next one goes elsewhere."""

    class Early(Rude):
        def complete(self) -> None:
            self.transport.pause_reading()
            self.transport.write(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")

    async def scenario() -> None:
        async with rude(authority, Early, connections=1) as client:
            for number in (1, 2):
                answer = await ask(client, bytes(5_000_000))
                assert isinstance(answer, Answer)
                assert answer.status == 413
                assert Early.connections == number

    run(scenario())


def test_interim_answers_are_passed_over(authority: Authority, run: Run) -> None:
    """100 Continue, which nobody asked for, and 103 come before the answer, each in a piece of its own."""

    class Interim(Rude):
        def complete(self) -> None:
            loop = asyncio.get_running_loop()
            for number, part in enumerate((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", OK)):
                loop.call_later(0.01 * number, self.transport.write, part)

    async def scenario() -> None:
        async with rude(authority, Interim) as client:
            for _ in range(2):
                answer = await ask(client)
                assert isinstance(answer, Answer)
                assert (answer.status, answer.body) == (200, b"ok")

    run(scenario())
    assert Interim.connections == 1


@pytest.mark.parametrize("words", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"])
def test_a_server_that_does_not_speak_http_leaves_the_request_in_doubt(
    authority: Authority, run: Run, words: bytes
) -> None:
    """The request may have arrived."""

    class Strange(Rude):
        def complete(self) -> None:
            self.transport.write(words)

    async def scenario() -> None:
        async with rude(authority, Strange) as client:
            result = await ask(client)
            assert isinstance(result, Failure)
            assert (result.may_have_arrived, result.reason) == (True, "connection_lost")

    run(scenario())
    assert Strange.requests == 1


def test_a_server_that_speaks_first_gets_nothing(authority: Authority, run: Run) -> None:
    """Its words would be taken for the answer to what comes next."""

    class Greeting(Rude):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.write(b"220 mail.example ESMTP\r\n")

    async def scenario() -> None:
        async with rude(authority, Greeting) as client:
            result = await ask(client)
            assert isinstance(result, Failure)
            assert (result.may_have_arrived, result.reason) == (False, "connect_failed")

    run(scenario())
    assert Greeting.requests == 0


def test_a_request_that_may_not_start_is_not_written_and_costs_no_connection(authority: Authority, run: Run) -> None:
    """`may_start` is asked when a connection stands ready, each time once."""

    async def scenario() -> None:
        receiver = Receiver()
        async with serving(authority, receiver), speaking_to(authority, receiver.port, connections=1) as client:
            asked: list[int] = []

            def may_start() -> bool:
                asked.append(len(client._connections))
                return False

            for _ in range(3):
                assert await ask(client, may_start=may_start) == Failure(False, "deadline_passed")
            assert isinstance(await ask(client, b"last"), Answer)
            assert asked == [1, 1, 1]
            assert receiver.arrived == {b"last": 1}
            assert len(receiver.peers) == 1

    run(scenario())


def test_what_waits_for_a_connection_is_certainly_not_sent(authority: Authority, run: Run) -> None:
    """Of more requests than connections those that are written are in doubt, the others are not."""

    class Slow(Receiver):
        async def take(self, request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(LIMIT_SECONDS)
            return web.Response()

    async def scenario() -> None:
        receiver = Slow()
        async with serving(authority, receiver), speaking_to(authority, receiver.port, connections=1) as client:
            bodies = [b"%d" % number for number in range(30)]
            results = await asyncio.gather(*(ask(client, body, 1.0) for body in bodies))
            for body, result in zip(bodies, results, strict=True):
                assert result in (
                    Failure(True, "timeout"),
                    Failure(False, "queue_timeout", "no free connection in time"),
                )
                assert result.may_have_arrived or body not in receiver.arrived
            assert sum(result == Failure(True, "timeout") for result in results) == HTTP1_CONNECTIONS_FACTOR

    run(scenario())


def test_a_cancelled_request_gives_up_its_connection_alone(authority: Authority, run: Run) -> None:
    """Others go on, and what comes later finds another connection."""

    class Slow(Receiver):
        async def take(self, request: web.Request) -> web.StreamResponse:
            if await request.read() == b"cancelled":
                await asyncio.sleep(LIMIT_SECONDS)
            return web.Response()

    async def scenario() -> None:
        receiver = Slow()
        async with serving(authority, receiver), speaking_to(authority, receiver.port, connections=1) as client:
            cancelled = asyncio.ensure_future(ask(client, b"cancelled"))
            await receiver.reached.wait()
            beside = asyncio.ensure_future(ask(client, b"beside"))
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert isinstance(await beside, Answer)
            assert isinstance(await ask(client, b"after"), Answer)
            assert client.in_flight == 0

    run(scenario())


def test_closing_waits_for_the_answer_that_is_due(authority: Authority, run: Run) -> None:
    """What is under way gets its answer, what comes later is certainly not sent."""

    class Slow(Receiver):
        async def take(self, request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(0.05)
            return web.Response()

    async def scenario() -> None:
        receiver = Slow()
        async with serving(authority, receiver), speaking_to(authority, receiver.port) as client:
            slow = asyncio.ensure_future(ask(client))
            await receiver.reached.wait()
            await client.close()
            assert isinstance(await slow, Answer)
            assert await ask(client) == Failure(False, "closed")

    run(scenario())


def test_whoever_asks_for_something_impossible_is_told_and_nobody_else(authority: Authority, run: Run) -> None:
    """A header that cannot be written goes to its caller; the connection serves the others."""

    async def scenario() -> None:
        receiver = Receiver()
        async with serving(authority, receiver), speaking_to(authority, receiver.port, connections=1) as client:
            assert isinstance(await ask(client, b"first"), Answer)
            with pytest.raises(ValueError):
                await client.request(Post("/", (("x", "a\nb"),), (), b""), 20.0, lambda: True)
            assert isinstance(await ask(client, b"second"), Answer)
            assert len(receiver.peers) == 1

    run(scenario())
