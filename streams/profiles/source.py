"""What deliver asks for profiles that are not on the topic."""

from __future__ import annotations

from typing import Protocol

from streams.policies.profiles import Lookup


class ProfileSource(Protocol):
    """One instance serves all lanes of a worker."""

    def known(self, user_id: str) -> Lookup | None:
        """Return what is known without waiting: remembered, or that asking is of no use now. None: ask by `fetch`."""

    def forget(self, user_id: str) -> None:
        """Remember nothing of a user any more, nor what is just being asked."""

    async def fetch(self, user_id: str) -> Lookup:
        """Ask, within a limit of its own. Never raises for anything that the network or the service can do."""
