"""Every operation of the front, in the order in which it is documented."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.web.contract import (
    audit_log,
    broadcasts,
    dead_letters,
    history,
    notifications,
    page,
    schedule,
    session,
    stories,
    templates,
    users,
    worker,
)
from streams.web.contract.operation import Operation, Scope

TAGS: Final[Mapping[str, str]] = {
    "notifications": "What users are told.",
    "slots": "Who holds the window of a user and type.",
    "schedule": "What waits for its time.",
    "devices": "Where a user can be reached.",
    "users": "What users want, what they are called, and forgetting them.",
    "history": "What happened, for longer than topics and tables keep it.",
    "broadcasts": "One notification for many.",
    "dead letters": "What could not be worked on.",
    "templates": "What is said.",
    "session": "Who the page speaks for.",
    "worker": "The worker itself.",
}
OPERATIONS: Final[tuple[Operation, ...]] = (
    *notifications.OPERATIONS,
    *stories.OPERATIONS,
    *schedule.OPERATIONS,
    *users.OPERATIONS,
    *history.OPERATIONS,
    *broadcasts.OPERATIONS,
    *dead_letters.OPERATIONS,
    *templates.OPERATIONS,
    *session.OPERATIONS,
    *audit_log.OPERATIONS,
    *worker.OPERATIONS,
    *page.OPERATIONS,
)
_SCOPES: Final[Mapping[tuple[str, str], Scope]] = {(each.method, each.path): each.scope for each in OPERATIONS}


def scope_of(method: str, path: str) -> Scope | None:
    """Return the scope of a method and a path as the router has it; HEAD is as GET. None: there is none."""
    return _SCOPES.get(("GET" if method == "HEAD" else method, path))


def operation(id: str) -> Operation:
    """Return the operation of this id. Raises KeyError."""
    for each in OPERATIONS:
        if each.id == id:
            return each
    raise KeyError(id)
