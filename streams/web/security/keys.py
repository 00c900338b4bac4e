"""API keys: `ro_<id>_<secret>`, of which only a hash is kept.

The secret has 256 bits of chance, so nobody finds it by trying; a hash that is slow on purpose, as passwords need it,
would add nothing but its cost on every request. SHA-256 of it tells nobody what it was.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from streams.web.security.scopes import Scope

PREFIX: Final = "ro"
ID_BYTES: Final = 6
SECRET_BYTES: Final = 32
TOKEN_LENGTH_MAX: Final = 256  # anything longer is not looked at
_NOBODYS_HASH: Final = hashlib.sha256(secrets.token_bytes(SECRET_BYTES)).hexdigest()

KeyName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]


class ApiKey(BaseModel):
    """What is kept of a key. Instants are milliseconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=rf"^[0-9a-f]{{{2 * ID_BYTES}}}$")
    name: KeyName
    scopes: frozenset[Scope] = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None

    def refusal(self, now_ms: int) -> str | None:
        """Return why it is good for nothing any more; None: it is good."""
        if self.revoked_at is not None:
            return "the API key was revoked"
        if self.expires_at is not None and self.expires_at <= now_ms:
            return "the API key has expired"
        return None


class KeyRefusedError(Exception):
    """A key that is good for nothing, and why. `key_id`, `key_name`: which one it says it is, if there is that one."""

    def __init__(self, reason: str, key: ApiKey | None = None) -> None:
        super().__init__(reason)
        self.key_id, self.key_name = ("", "") if key is None else (key.id, key.name)


def new_key(name: str, scopes: Iterable[Scope], now_ms: int, expires_at: int | None = None) -> tuple[ApiKey, str]:
    """Make a key; return what is kept of it, and the key itself, which nobody can be told again."""
    key_id, secret = secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    key = ApiKey(
        id=key_id,
        name=name,
        scopes=frozenset(scopes),
        sha256=_hashed(secret),
        created_at=now_ms,
        expires_at=expires_at,
    )
    return key, f"{PREFIX}_{key_id}_{secret}"


class KeyBook:
    """All keys, found by their ids."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys = {key.id: key for key in keys}

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, token: str, now_ms: int) -> ApiKey:
        """Return the key that this is. Raises KeyRefusedError.

        The same is done for an id that nobody has: how long it takes tells nothing.
        """
        prefix, _, rest = token[:TOKEN_LENGTH_MAX].partition("_")
        key_id, _, secret = rest.partition("_")
        key = self._keys.get(key_id)
        is_right = hmac.compare_digest(_hashed(secret), _NOBODYS_HASH if key is None else key.sha256)
        if key is None or not is_right or prefix != PREFIX or len(token) > TOKEN_LENGTH_MAX:
            raise KeyRefusedError("there is no such API key", key)
        refusal = key.refusal(now_ms)
        if refusal is not None:
            raise KeyRefusedError(refusal, key)
        return key

    def of_session(self, key_id: str, mark: str, now_ms: int) -> ApiKey | None:
        """Return the key that a session was begun with, if it still is that one and good for anything."""
        key = self._keys.get(key_id)
        if key is None or not hmac.compare_digest(mark, mark_of(key)) or key.refusal(now_ms) is not None:
            return None
        return key


def mark_of(key: ApiKey) -> str:
    """Return what tells a key from a later one of the same id; not its hash, which stays where it is."""
    return hashlib.sha256(f"mark {key.id} {key.sha256}".encode()).hexdigest()[:16]


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


KeyState = Literal["active", "expired", "revoked"]


def state_of(key: ApiKey, now_ms: int) -> KeyState:
    """Return what a key is good for, in one word."""
    if key.revoked_at is not None:
        return "revoked"
    return "active" if key.refusal(now_ms) is None else "expired"
