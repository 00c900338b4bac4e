"""What a user service said lately: profiles, and users it does not know or says nothing useful of; bounded in bytes."""

from __future__ import annotations

from collections.abc import Callable

from cachetools import TTLCache

from streams.policies.profiles import Lookup, NotFound, Profile, Unusable

ENTRY_BYTES = 600  # an entry of the cache, its key, an empty profile, as Python keeps them
VALUE_BYTES = 150  # beyond the characters of a field, two objects and their place in a dict


class ProfileCache:
    """`clock`: in seconds, never going back. An answer of one kind replaces that of the other."""

    def __init__(
        self, bytes_max: int, found_seconds: float, not_found_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._found: TTLCache[str, Profile] = TTLCache(bytes_max, found_seconds, clock, _size)
        self._others: TTLCache[str, NotFound | Unusable] = TTLCache(
            max(1, bytes_max // ENTRY_BYTES // 2), not_found_seconds, clock
        )

    def get(self, user_id: str) -> Profile | NotFound | Unusable | None:
        """Return what is remembered of a user."""
        return self._found.get(user_id) or self._others.get(user_id)

    def put(self, user_id: str, found: Lookup) -> None:
        """Remember an answer; that there was none is not remembered."""
        if isinstance(found, Profile):
            self._others.pop(user_id, None)
            self._found.pop(user_id, None)  # also where the new one is too large to be remembered
            if _size(found) <= self._found.maxsize:
                self._found[user_id] = found
        elif isinstance(found, NotFound | Unusable):
            self._found.pop(user_id, None)
            self._others[user_id] = found

    def forget(self, user_id: str) -> None:
        """Remember nothing of a user any more."""
        self._found.pop(user_id, None)
        self._others.pop(user_id, None)

    @property
    def users(self) -> int:
        """How many users something is remembered of, what has run out since the last look included."""
        return len(self._found) + len(self._others)


def _size(profile: Profile) -> int:
    values = profile.values
    return ENTRY_BYTES + sum(len(name) + 4 * len(value) + VALUE_BYTES for name, value in values.items())
