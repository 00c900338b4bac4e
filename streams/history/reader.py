"""Reads the history for many who ask at once: on a few threads, each with a connection, and within a time.

Nobody waits without a bound: who finds too many before him is told so at once, and what takes too long is ended in the
database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from streams.history.address import PostgresAddress, SqliteAddress
from streams.history.database import Database, DatabaseDownError, Source, open_database
from streams.publish.intake import BusyError

AT_ONCE: Final = 4
ASKED_MAX: Final = 32  # those that are under way included
SECONDS_MAX: Final = 5.0
Done = TypeVar("Done")


class HistoryReader:
    """Use it from one event loop, and close it."""

    def __init__(
        self,
        address: SqliteAddress | PostgresAddress,
        source: Source,
        *,
        at_once: int = AT_ONCE,
        asked_max: int = ASKED_MAX,
        seconds_max: float = SECONDS_MAX,
    ) -> None:
        self._address = address
        self._source = source
        self._asked_max = asked_max
        self._seconds_max = seconds_max
        self._asked = 0
        self._places = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once, "history-reader")
        self._idle: list[Database] = []
        self._busy: set[Database] = set()
        self._opened: set[Database] = set()

    async def ask(self, work: Callable[[Database], Done]) -> Done:
        """Do it on a thread. Raises BusyError, DatabaseDownError, DatabaseRefusesError."""
        if self._asked >= self._asked_max:
            raise BusyError(f"{self._asked} searches are under way already")
        self._asked += 1
        try:
            async with asyncio.timeout(self._seconds_max):
                await self._places.acquire()
        except BaseException as error:
            self._asked -= 1
            if isinstance(error, TimeoutError):
                raise BusyError(f"no place was free for a search within {self._seconds_max:g} s") from None
            raise
        database = self._idle.pop() if self._idle else self._new()
        self._busy.add(database)
        loop = asyncio.get_running_loop()
        doing = self._threads.submit(self._do, database, work)
        doing.add_done_callback(lambda _: loop.call_soon_threadsafe(self._free, database))
        return await self._within(doing, database)

    async def _within(self, doing: Future[Done], database: Database) -> Done:
        done = asyncio.wrap_future(doing)
        try:
            async with asyncio.timeout(self._seconds_max):
                return await asyncio.shield(done)
        except TimeoutError:
            raise DatabaseDownError(f"it has not answered within {self._seconds_max:g} s") from None
        finally:
            if not doing.done():
                database.interrupt()
                done.add_done_callback(lambda ended: None if ended.cancelled() else ended.exception())

    def _new(self) -> Database:
        return open_database(self._address, read_only=True, seconds_max=self._seconds_max)

    def _do(self, database: Database, work: Callable[[Database], Done]) -> Done:
        if database not in self._opened:
            database.open(self._source)
            self._opened.add(database)
        try:
            return work(database)
        except BaseException:
            self._opened.discard(database)  # whatever it is, the next one looks anew at what it finds
            raise

    def _free(self, database: Database) -> None:
        self._busy.discard(database)
        self._idle.append(database)
        self._asked -= 1
        self._places.release()

    async def close(self) -> None:
        """End what is under way, and let go of the connections."""
        for database in list(self._busy):
            database.interrupt()
        loop: Any = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._threads.shutdown)
        for database in [*self._idle, *self._busy]:
            database.close()
