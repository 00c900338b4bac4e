"""A file or a pipe as lines, and the lines as chunks that an event loop can wait for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from streams.publish.messages import Message, Refused, csv_lines, json_lines

FILE_CHUNK: Final = 500  # Messages made between two looks at the network.
CHUNKS_AHEAD: Final = 1000  # What may be read ahead of the network: so many chunks, of one line each from a pipe.
IDLE_SECONDS: Final = 0.2

Lines = Iterator[Message | Refused]


@dataclass(frozen=True, slots=True)
class Source:
    """What is read. `size` in bytes, None for a pipe."""

    text: TextIO
    is_csv: bool
    size: int | None

    def messages(self, encode: Callable[[dict[str, Any]], Message]) -> Lines:
        return (csv_lines if self.is_csv else json_lines)(self.text, encode)

    @property
    def position(self) -> int:
        """How many bytes were read."""
        return self.text.buffer.tell() if self.size is not None else 0


@contextlib.contextmanager
def open_source(name: str) -> Iterator[Source]:
    """Open a file for reading; `-` is standard input, as JSON lines. Raises OSError.

    Bytes that are not UTF-8 come through as what no message can hold, so that they fail their line only.
    """
    path = sys.stdin.fileno() if name == "-" else Path(name)
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="", closefd=name != "-") as text:
        info = os.fstat(text.fileno())
        yield Source(text, name.endswith(".csv"), info.st_size if stat.S_ISREG(info.st_mode) else None)


async def chunks(lines: Lines, *, of_pipe: bool) -> AsyncIterator[list[Message | Refused]]:
    """The lines in chunks; an empty chunk says that nothing has come for a while.

    Read in a thread of its own, which does not keep the process alive: a read from a silent pipe cannot be cancelled.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[list[Message | Refused] | BaseException | None] = asyncio.Queue()
    room = threading.Semaphore(CHUNKS_AHEAD if of_pipe else 4)

    def read() -> None:
        end: BaseException | None = None
        try:
            while chunk := list(islice(lines, 1 if of_pipe else FILE_CHUNK)):
                room.acquire()
                loop.call_soon_threadsafe(queue.put_nowait, chunk)
        except Exception as error:
            end = error
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits for the rest.
            loop.call_soon_threadsafe(queue.put_nowait, end)

    threading.Thread(target=read, name="publish-source", daemon=True).start()
    while True:
        try:
            chunk = queue.get_nowait() if not queue.empty() else await asyncio.wait_for(queue.get(), IDLE_SECONDS)
        except TimeoutError:
            yield []
            continue
        if chunk is None:
            return
        if isinstance(chunk, BaseException):
            raise chunk
        room.release()
        yield chunk
