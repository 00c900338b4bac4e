"""A source of profiles that says what the test has written down, and counts who was asked for."""

from __future__ import annotations

import asyncio

from streams.policies.profiles import Lookup, NotFound, Profile, Unavailable

DOWN = Unavailable("the user service: no connection")
UNKNOWN_USER = NotFound("the user service knows no such user (404)")


def named(name: str) -> Profile:
    """A profile with a name."""
    return Profile({"name": name})


class ScriptedProfiles:
    """`users`: what it says of whom; of others `usually`. A user in `slow` is answered when the future is done.

    While it is `open`, nobody is asked, as with a breaker that is open.
    """

    def __init__(self) -> None:
        self.users: dict[str, Lookup | Exception] = {}
        self.usually: Lookup = UNKNOWN_USER
        self.slow: dict[str, asyncio.Future[None]] = {}
        self.open = False
        self.asked: list[str] = []
        self.forgotten: list[str] = []

    def known(self, user_id: str) -> Lookup | None:
        """As the real one, which remembers nothing here."""
        return DOWN if self.open else None

    def forget(self, user_id: str) -> None:
        """Note whom it was to forget."""
        self.forgotten.append(user_id)

    async def fetch(self, user_id: str) -> Lookup:
        """As the real one; raises what it must never raise, where the test says so."""
        self.asked.append(user_id)
        if user_id in self.slow:
            await self.slow[user_id]
        found = self.users.get(user_id, self.usually)
        if isinstance(found, Exception):
            raise found
        return found
