"""The audit log: what admins do, and who was refused, as records on a topic that keeps them for a year.

An action is written down before it is done, and refused where that is not possible; how it ended is written down after
it, before it is answered. A crash between the two leaves an entry that says STARTED, and nothing else: it may have been
done. Refusals are written on the side: an attacker makes nobody wait.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError

from schemas.codec import Codec
from schemas.records import AuditEntry, AuditOutcome
from schemas.registry import RegistryError
from streams.publish.intake import BusyError, Intake
from streams.publish.messages import Message
from streams.settings import Settings
from streams.topics import TopicNames
from streams.web.security.callers import Caller

if TYPE_CHECKING:
    from aiohttp import web

logger = logging.getLogger(__name__)

KEY: Final = b"audit"  # one key, one partition, one order: there are few of them
UNDER_WAY_MAX: Final = 200
TEXT_MAX: Final = 1_000
_KEY_IN_TEXT: Final = re.compile(r"(ro_[0-9a-f]{12}_)[A-Za-z0-9_-]+")  # in an address, by mistake


class AuditUnwrittenError(Exception):
    """Kafka has not confirmed an entry: it may be there or not."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody does or tries."""

    action: str
    caller: Caller
    address: str
    method: str
    target: str
    entry_id: str

    @classmethod
    def of(cls, action: str, caller: Caller, address: str, request: web.Request) -> Deed:
        """Return what a request is about to do."""
        return cls(action, caller, address, request.method, request.raw_path, uuid.uuid4().hex)


class AuditLog:
    """Writes entries. `url`: of this worker."""

    def __init__(self, settings: Settings, codec: Codec, url: Callable[[], str]) -> None:
        self._topic = TopicNames.of(settings).audit_log
        self._codec = codec
        self._url = url
        self._intake = Intake(settings, UNDER_WAY_MAX)
        self._besides: set[asyncio.Task[None]] = set()
        self.lost = 0

    async def write(self, deed: Deed, outcome: AuditOutcome, status: int | None = None, detail: str = "") -> None:
        """Return when Kafka has the entry for good. Raises AuditUnwrittenError."""
        entry: AuditEntry = {
            "entry_id": deed.entry_id,
            "at": time.time_ns() // 1_000_000,
            "action": deed.action,
            "outcome": outcome,
            "status": status,
            "by": deed.caller.by,
            "key_id": deed.caller.key_id,
            "key_name": deed.caller.name,
            "session_id": deed.caller.session_id,
            "address": deed.address,
            "worker": self._url(),
            "method": deed.method,
            "target": _text(deed.target),
            "detail": _text(detail),
        }
        try:
            value = self._codec.encode("AuditEntry", entry, self._topic)
            await self._intake.take(self._topic, [Message(KEY, value)])
        except (KafkaError, RegistryError, TimeoutError, BusyError) as error:
            raise AuditUnwrittenError(f"{type(error).__name__}: {error}") from error

    async def note(self, deed: Deed, outcome: AuditOutcome, status: int | None, detail: str = "") -> None:
        """Write what can no longer be refused: where that fails, it is counted and said in the log."""
        try:
            await self.write(deed, outcome, status, detail)
        except AuditUnwrittenError as error:
            self.lost += 1
            logger.error(
                "not in the audit log: %s %s by %s at %s, status %s (%s)",
                *(deed.action, outcome, deed.caller.shown, deed.address, status, error),
            )

    def note_besides(self, deed: Deed, outcome: AuditOutcome, status: int, detail: str = "") -> None:
        """The same on the side. Where too many wait already, it is only counted."""
        if len(self._besides) >= UNDER_WAY_MAX:
            self.lost += 1
            return
        self._spawn(self.note(deed, outcome, status, detail))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._besides.add(task)
        task.add_done_callback(self._besides.discard)

    async def close(self) -> None:
        """Wait for what is under way, which is bounded, and let go of the connection."""
        if self._besides:
            await asyncio.wait(self._besides)
        await self._intake.close()


def _text(value: str) -> str:
    """Return a text that Avro can hold, and nobody can log in with: a path may have any byte, and a key in it."""
    return _KEY_IN_TEXT.sub(r"\1…", value.encode("utf-8", "backslashreplace").decode())[:TEXT_MAX]
