"""What a sink reads: statuses, and commands to erase among the changes of devices. What is neither is passed over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.audit.reading import decoder
from streams.history.erasing import Erasure, erasure_of
from streams.history.rows import StatusRow, status_row
from streams.stages.forgetting import is_forget, read_forget

logger = logging.getLogger(__name__)

SAY_AGAIN_SECONDS: Final = 60.0  # a flood of records that cannot be read is a line a minute


class Records:
    """Reads records. `poison`: how many were passed over."""

    def __init__(self, codec: Codec, skew_ms: int, wall_ms: Callable[[], int]) -> None:
        self._codec = codec
        self._decode = decoder(codec, "Status")
        self._skew_ms = skew_ms
        self._wall_ms = wall_ms
        self._said_at = float("-inf")
        self.poison = 0

    def status(self, record: Any) -> StatusRow | None:
        """Return the row of a status; None: it is none, which is said. Raises RegistryError."""
        try:
            try:
                status = self._decode(record.value)
            except (PoisonError, ArithmeticError, AttributeError, EOFError, LookupError, TypeError, ValueError):
                # Bytes of strangers under our header: the careful way says what is wrong with them.
                status = self._codec.decode(record.value, ("Status",)).record
            return status_row(record.partition, record.offset, status)
        except PoisonError as error:
            self._pass_over(record, error)
            return None

    def erasure(self, record: Any) -> Erasure | None:
        """Return the erasure that a record on `device-changes` asks for; None: it is about something else.

        Raises RegistryError.
        """
        if not is_forget(self._codec, record.value):
            return None
        try:
            forget = read_forget(self._codec.decode(record.value, ("Forget",)).record, record.key)
        except PoisonError as error:
            self._pass_over(record, error)
            return None
        if forget.round:
            return None  # deliver goes on with what the first one has asked for
        now_ms = self._wall_ms()
        return erasure_of(forget.user.decode(), forget.requested_at, record.timestamp, now_ms, self._skew_ms)

    def _pass_over(self, record: Any, error: PoisonError) -> None:
        self.poison += 1
        now = time.monotonic()
        if now - self._said_at > SAY_AGAIN_SECONDS:
            self._said_at = now
            place = f"{record.topic}-{record.partition}@{record.offset}"
            logger.error(
                "history: %s cannot be read, and is passed over, the %d. such record: %s", place, self.poison, error
            )
