"""Who was erased, and when: read from `device-changes`, so that an index built anew does not know them either."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.stages.forgetting import is_forget, read_forget

logger = logging.getLogger(__name__)


class Erasures:
    """Who was erased within what is kept, and until when nothing of them is told (milliseconds since the epoch)."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.until: dict[bytes, int] = {}

    def take(self, records: Iterable[Any]) -> list[tuple[bytes, int]]:
        """Take records of `device-changes`; return the erasures among them."""
        found = []
        for record in records:
            if record.key is None or not is_forget(self._codec, record.value):
                continue
            try:
                forget = read_forget(self._codec.decode(record.value, ("Forget",)).record, record.key)
            except PoisonError:
                continue  # deliver has put it on the dead letters
            if forget.round == 0 and record.timestamp > self.until.get(forget.user, -1):
                self.until[forget.user] = record.timestamp
                found.append((forget.user, record.timestamp))
        return found

    def forget_before(self, at: int) -> None:
        """Let go of those of whom nothing from before their erasure is kept any more."""
        for user in [user for user, until in self.until.items() if until < at]:
            del self.until[user]
