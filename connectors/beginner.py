"""A second way to ask a connector, for who has many pushes at once: without a coroutine for each of them.

It is no part of what is compiled: there a protocol cannot be asked for at run time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from connectors.outcome import Outcome, Push


class Sending(Protocol):
    """A push that was begun and has not ended."""

    def cancel(self) -> object:
        """Its outcome is not wanted any more: it is for the caller to count as `Unknown`."""


@runtime_checkable
class Beginner(Protocol):
    """A connector that can send without a task for each push, which would cost half as much again as the request.

    `begin` is as `send`, but answers at once: with the outcome, where that is certain before anything is asked; with
    what is under way, of which `told` is called once, later, from the event loop; or with None, where it has to wait
    for something first: then `send` it. `told` must not raise.
    """

    def begin(
        self, push: Push, may_start: Callable[[], bool], told: Callable[[Outcome], None]
    ) -> Outcome | Sending | None:
        """Send one push."""
