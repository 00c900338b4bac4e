"""What is no request, comes too slowly or too often: a bounded wait, a problem document, no word of what was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from streams.web.security.headers import FIXED
from tests.unit.front_bench import a_key, bearer, front_settings, guarded_settings, serve

MARK = b"hunter2-never-to-be-shown"
START = b"GET /templates HTTP/1.1\r\nHost: localhost\r\n"


@asynccontextmanager
async def connected(client: httpx.AsyncClient) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection of its own to the server."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def sent(client: httpx.AsyncClient, request: bytes) -> bytes:
    """Send exactly this, and return all that is answered until the server closes."""
    async with connected(client) as (reader, writer):
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 20)


def assert_problem(answer: bytes, status: int) -> None:
    """It is one problem document of this status, with the headers of every answer, and tells no version."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == b"%d" % status, answer
    assert json.loads(body)["status"] == status
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.decode().split("\r\n"))}
    assert headers["content-type"] == "application/problem+json"
    assert {name: headers.get(name.lower()) for name in FIXED} == FIXED
    assert "aiohttp" not in answer.decode().lower()
    assert MARK not in answer


NO_REQUESTS = [
    (b"GET /" + MARK * 400 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
    (START + b"Authorization: Bearer " + MARK * 400 + b"\r\n\r\n", 431),
    (START + b"".join(b"A%d: %s\r\n" % (number, MARK) for number in range(200)) + b"\r\n", 431),
    (MARK + b"\x00\r\n\r\n", 400),
    (START + b"Authorization " + MARK + b"\r\n\r\n", 400),
    (START + b"Content-Length: " + MARK + b"\r\n\r\n", 400),
    (START + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (START + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    (b"GET /templates HTTP/1.1\r\nHost: a\r\nHost: " + MARK + b"\r\n\r\n", 400),
    (b"GET /templates HTTP/1.1\r\nAuthorization: " + MARK + b"\r\n\r\n", 400),
]


@pytest.mark.parametrize(("request_bytes", "status"), NO_REQUESTS, ids=[str(each) for each in range(len(NO_REQUESTS))])
def test_what_is_no_request_is_refused_without_repeating_it(
    tmp_path: Path, request_bytes: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the answer nor in the log: it may hold a key."""

    async def scenario(client: httpx.AsyncClient) -> None:
        assert_problem(await sent(client, request_bytes), status)

    serve(front_settings(tmp_path), scenario)
    assert MARK.decode() not in caplog.text


def test_a_head_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """A byte now and then does not keep a connection; one that says nothing is closed too; others are served."""

    async def scenario(client: httpx.AsyncClient) -> None:
        async with connected(client) as (reader, writer), connected(client) as (silent, _):
            writer.write(START)
            answer = asyncio.ensure_future(reader.read())
            began = asyncio.get_running_loop().time()
            while not answer.done():
                writer.write(b"A: b\r\n")
                await asyncio.sleep(0.2)
                assert asyncio.get_running_loop().time() - began < 10
                assert (await client.get("/health/live")).status_code == 200
            assert_problem(answer.result(), 408)
            assert_problem(await asyncio.wait_for(silent.read(), 5), 408)

    serve(front_settings(tmp_path, api={"read_seconds_max": 1}), scenario)


def test_a_connection_may_be_idle_between_requests(tmp_path: Path) -> None:
    """The limit is for a head that has begun."""

    async def scenario(client: httpx.AsyncClient) -> None:
        async with connected(client) as (reader, writer):
            for _ in range(2):
                writer.write(START + b"\r\n")
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
                assert b" 200 " in head
                length = int(head.lower().partition(b"content-length: ")[2].split()[0])
                await reader.readexactly(length)
                await asyncio.sleep(1.5)

    serve(front_settings(tmp_path, api={"read_seconds_max": 1}), scenario)


def test_a_body_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """Wherever it is read: 408, and the connection is closed in bounded time."""

    async def scenario(client: httpx.AsyncClient) -> None:
        for path in ("/notifications", "/templates/render", "/session"):
            async with connected(client) as (reader, writer):
                head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                writer.write(head.encode() + b"Content-Length: 9\r\n\r\n{")
                answer = await asyncio.wait_for(reader.readuntil(b"}"), 10)
                assert_problem(answer, 408)

    serve(front_settings(tmp_path, api={"read_seconds_max": 1}), scenario)


def test_a_broken_body_is_the_callers_mistake(tmp_path: Path) -> None:
    """Chunks that are none."""

    async def scenario(client: httpx.AsyncClient) -> None:
        head = b"POST /notifications HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        assert_problem(await sent(client, head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"), 400)

    serve(front_settings(tmp_path), scenario)


def test_more_connections_than_allowed_are_closed(tmp_path: Path) -> None:
    """Those that are there go on; when one leaves, the next one is taken."""

    async def scenario(client: httpx.AsyncClient) -> None:
        async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(START + b"\r\n")
            try:
                return bool(await asyncio.wait_for(reader.read(9), 5))
            except ConnectionError:
                return False

        opened = [await asyncio.open_connection(client.base_url.host, client.base_url.port) for _ in range(10)]
        assert [await answers(*each) for each in opened] == [True] * 10
        beyond = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        assert not await answers(*beyond)
        opened[0][1].close()
        await opened[0][1].wait_closed()
        for _ in range(50):
            again = await asyncio.open_connection(client.base_url.host, client.base_url.port)
            if await answers(*again):
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("no place became free")
        for _, writer in opened[1:]:
            writer.close()

    serve(front_settings(tmp_path, api={"connections_max": 10}), scenario)


def test_only_so_many_requests_at_a_time(tmp_path: Path) -> None:
    """The next one is told to come again; health is answered all the same."""

    async def scenario(client: httpx.AsyncClient) -> None:
        async with connected(client) as (_, writer):
            writer.write(b"POST /notifications HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
            for _ in range(100):
                busy = await client.get("/templates")
                if busy.status_code == 503:
                    break
                await asyncio.sleep(0.02)
            assert busy.status_code == 503
            assert "retry-after" in busy.headers
            assert (await client.get("/health/live")).status_code == 200

    serve(front_settings(tmp_path, api={"requests_max": 1}), scenario)


def test_an_admin_action_that_cannot_be_written_down_is_not_done(tmp_path: Path) -> None:
    """There is no Kafka here: 503 that says so, for every one of them; what is no such action goes on to its view."""
    _, token = a_key(tmp_path, "admin", "read")

    async def scenario(client: httpx.AsyncClient) -> None:
        for method, path in (
            ("POST", "/broadcasts/b/cancel"),
            ("DELETE", "/users/u"),
            ("POST", "/dead-letters/replay"),
        ):
            answer = await client.request(method, path, headers=bearer(token))
            assert answer.status_code == 503
            assert answer.json()["detail"].startswith("nothing was done: the audit log cannot be written")
        assert (await client.get("/templates", headers=bearer(token))).status_code == 200
        metrics = (await client.get("/metrics", headers=bearer(token))).text
        assert 'ringonce_http_refused_total{status="503"} 3.0' in metrics

    serve(guarded_settings(tmp_path), scenario)
