"""Who asks: an API key, a session that was begun with one, another worker on behalf of either, or anybody."""

from __future__ import annotations

import contextvars
from dataclasses import dataclass
from typing import Final, Literal

from streams.web.security.scopes import SCOPES, Scope

By = Literal["nobody", "anybody", "key", "session", "worker", "shell"]
"""`nobody`: no key where keys are asked for. `anybody`: whoever, where there are no keys. `shell`: by a command."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what for. `session_id`: of a session, what its CSRF token is bound to."""

    by: By
    scopes: frozenset[Scope] = frozenset()
    key_id: str = ""
    name: str = ""
    session_id: str = ""

    @property
    def shown(self) -> str:
        """Return who it is, for people; nothing of a key but its name and id."""
        return f"{self.name} ({self.key_id})" if self.key_id else self.by


NOBODY: Final = Caller("nobody")
ANYBODY: Final = Caller("anybody", frozenset(SCOPES))
ITSELF: Final = Caller("worker", frozenset(("read",)), name="worker")
"""A worker that asks others by itself, and not for a caller."""

CALLER: Final = contextvars.ContextVar("caller", default=ITSELF)
"""Set for each request before its view is called; aiohttp gives each request a task, so a context, of its own."""
