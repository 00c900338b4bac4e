"""A bare loop of requests on an HTTP client that others keep: what deliver's speed is next to.

    python -m tests.benchmarks.peers.push_loop httpx|h2|pyreqwest|wreq GIVEN.json

GIVEN.json: `url` that every request is posted to; `headers` of each; `bodies`, a file with one in each line, of which
the first `warm` open the connections; `in_flight` at a time; `connections`, for who has no pool; `ca_file`. It prints
`ready`, sends the others when it reads a line, and prints `{"seconds": …, "cpu_seconds": …}`. Each client
is set up as its documentation has it for many requests to one HTTP/2 server.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvloop

from tests.benchmarks.peers.h2_client import h2_client

Post = Callable[[bytes], Awaitable[int]]
TIMEOUT_SECONDS = 60.0


async def httpx_client(given: dict[str, Any], stack: AsyncExitStack) -> Post:
    """httpx with its own pool; as many connections as it likes."""
    import ssl

    import httpx

    tls = ssl.create_default_context(cafile=given["ca_file"])
    client = await stack.enter_async_context(
        httpx.AsyncClient(http2=True, verify=tls, timeout=TIMEOUT_SECONDS, headers=given["headers"])
    )

    async def post(body: bytes) -> int:
        response = await client.post(given["url"], content=body)
        assert response.http_version == "HTTP/2", response.http_version
        return response.status_code

    return post


async def pyreqwest_client(given: dict[str, Any], stack: AsyncExitStack) -> Post:
    """pyreqwest: hyper, in Rust, with threads of its own."""
    from datetime import timedelta

    from pyreqwest.client import ClientBuilder

    authority = Path(given["ca_file"]).read_bytes()  # noqa: ASYNC240 (nothing runs yet)
    client = await stack.enter_async_context(
        ClientBuilder()
        .http2(enable=True)
        .add_root_certificate_pem(authority)
        .default_headers(given["headers"])
        .timeout(timedelta(seconds=TIMEOUT_SECONDS))
        .build()
    )

    async def post(body: bytes) -> int:
        response = await client.post(given["url"]).body_bytes(body).build().send()
        assert response.version == "HTTP/2.0", response.version
        await response.bytes()
        return int(response.status)

    return post


async def wreq_client(given: dict[str, Any], stack: AsyncExitStack) -> Post:
    """wreq: a fork of the same in Rust, with BoringSSL."""
    from datetime import timedelta

    from wreq import Client, Version
    from wreq.tls import CertStore

    authority = Path(given["ca_file"]).read_text(encoding="ascii")  # noqa: ASYNC240 (nothing runs yet)
    client = await stack.enter_async_context(
        Client(
            http2_only=True,
            tls_verify=CertStore.from_pem_certs([authority]),
            headers=given["headers"],
            timeout=timedelta(seconds=TIMEOUT_SECONDS),
        )
    )

    async def post(body: bytes) -> int:
        response = await client.post(given["url"], body=body)
        assert response.version == Version.HTTP_2, response.version
        await response.bytes()
        return int(response.status.as_int())

    return post


CLIENTS = {"httpx": httpx_client, "h2": h2_client, "pyreqwest": pyreqwest_client, "wreq": wreq_client}


async def send_all(post: Post, bodies: Sequence[bytes], in_flight: int) -> None:
    """Post each body once, so many at a time. Raises RuntimeError unless every answer is 200."""
    waiting, refused = iter(bodies), 0

    async def work() -> None:
        nonlocal refused
        for body in waiting:
            refused += await post(body) != 200

    await asyncio.gather(*(work() for _ in range(min(in_flight, len(bodies)))))
    if refused:
        raise RuntimeError(f"{refused} of {len(bodies)} were not accepted")


async def run(name: str, given: dict[str, Any]) -> None:
    """Send as it is wanted."""
    bodies = Path(given["bodies"]).read_bytes().splitlines()  # noqa: ASYNC240 (nothing runs yet)
    async with AsyncExitStack() as stack:
        post = await CLIENTS[name](given, stack)
        await send_all(post, bodies[: given["warm"]], given["in_flight"])
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        started_at, cpu = time.perf_counter(), time.process_time()
        await send_all(post, bodies[given["warm"] :], given["in_flight"])
        found = {"seconds": time.perf_counter() - started_at, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))))
