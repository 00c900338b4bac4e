"""A TCP proxy between one worker and the broker that can be cut: silently, as a lost cable, or with resets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

CHUNK_BYTES = 256 * 1024


class TcpProxy:
    """Listens on `port` of 127.0.0.1. While it is silent, connections stay open and nothing passes."""

    def __init__(self, port: int, target: Callable[[], tuple[str, int]]) -> None:
        self.port = port
        self._target = target
        self._passing = asyncio.Event()
        self._passing.set()
        self._refusing = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        """End all connections."""
        if self._server is not None:
            self._server.close()
        self._abort()

    def silence(self) -> None:
        """Pass nothing from now on, in either direction."""
        self._passing.clear()

    def refuse(self) -> None:
        """Reset all connections, and each new one."""
        self._refusing = True
        self._abort()

    def mend(self) -> None:
        """Let everything pass again. What was silenced is cut first, as a router that forgot about it would do."""
        if not self._passing.is_set():
            self._abort()
        self._refusing = False
        self._passing.set()

    def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._refusing:
                return
            await self._passing.wait()
            broker_reader, broker_writer = await asyncio.open_connection(*self._target())
            self._writers.add(broker_writer)
            try:
                await asyncio.gather(self._pump(reader, broker_writer), self._pump(broker_reader, writer))
            finally:
                self._writers.discard(broker_writer)
                broker_writer.transport.abort()
        except OSError:
            return  # the broker is down: the worker sees its connection end
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._passing.wait()
            writer.write(data)
            await writer.drain()
        # One half that ends ends both: Kafka's clients never half-close.
        with contextlib.suppress(OSError):
            writer.transport.abort()
