"""What is done from a shell stands in the audit log as what is done over HTTP: before it is done, and how it ended.

A shell with the settings of Kafka needs no API key, so the log says who was logged in, and where; it is a record, not a
barrier.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import typer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.codec import Codec
from schemas.registry import RegistryError
from streams.codec import open_codec
from streams.commands.terminal import fail, login, quiet_clients, say
from streams.settings import Settings, kafka_client_options
from streams.topics import TopicNames
from streams.web.security.audit_log import AuditLog, AuditUnwrittenError, Deed
from streams.web.security.callers import Caller

PROGRAM: Final = "ringonce"
AFTERWARDS_SECONDS_MAX: Final = 5.0


class Doing(NamedTuple):
    """What is done: its name in the audit log, the words of the command, and who asks."""

    action: str
    words: str
    by: str

    def deed(self) -> Deed:
        """Return it as an entry tells it."""
        caller = Caller("shell", name=self.by)
        return Deed(self.action, caller, socket.gethostname(), PROGRAM, self.words, uuid.uuid4().hex)


@asynccontextmanager
async def written_down(settings: Settings, codec: Codec, doing: Doing) -> AsyncIterator[None]:
    """Let it be done between two entries. Exits where the first cannot be written: then nothing is done."""
    log, deed = AuditLog(settings, codec, str), doing.deed()
    try:
        try:
            await log.write(deed, "STARTED")
        except AuditUnwrittenError as error:
            fail(f"nothing was done: the audit log, on Kafka at {settings.bootstrap}, cannot be written: {error}")
        try:
            yield
        except typer.Exit as error:
            await log.note(deed, "FAILED", None, f"exit code {error.exit_code}")
            raise
        except BaseException as error:
            await log.note(deed, "FAILED", None, f"{type(error).__name__}: {error}")
            raise
        await log.note(deed, "DONE", None)
    finally:
        await log.close()


def note_afterwards(settings: Settings, action: str, words: str) -> None:
    """Write down what was done without Kafka, and must be possible without it. Where that fails, it is said."""
    quiet_clients()
    try:
        if settings.bootstrap is None:
            raise AuditUnwrittenError("RINGONCE_BOOTSTRAP is not set")
        asyncio.run(_note(settings, Doing(action, words, login())))
    except (AuditUnwrittenError, KafkaError, RegistryError, TimeoutError, OSError) as error:
        say(f"this is not in the audit log: {str(error) or type(error).__name__}")


async def _note(settings: Settings, doing: Doing) -> None:
    async with asyncio.timeout(AFTERWARDS_SECONDS_MAX):
        topic = TopicNames.of(settings).audit_log
        admin = AIOKafkaAdminClient(**kafka_client_options(settings))
        try:
            await admin.start()
            if topic not in await admin.list_topics():  # writing to it might make one that is not as it must be
                raise AuditUnwrittenError(f"there is no topic {topic} yet")
        finally:
            await admin.close()
        log = AuditLog(settings, open_codec(settings), str)
        try:
            await log.write(doing.deed(), "DONE")
        finally:
            await log.close()
