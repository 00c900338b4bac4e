"""Sessions of the page: a cookie that every worker can check, and that none has to remember.

A token says which key the session was begun with, when, and when it was last used; a MAC proves it. It is worth nothing
once the key is revoked or has expired, once it was not used for a while, or once it is too old.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from typing import Final

TOKEN_LENGTH_MAX: Final = 1024
RENEW_PARTS: Final = 10  # a token is renewed when a tenth of the idle time has passed, not with every request


@dataclass(frozen=True, slots=True)
class SessionRule:
    """How long a session lasts."""

    idle_ms: int
    whole_ms: int


@dataclass(frozen=True, slots=True)
class Session:
    """`mark`: what tells the key from a later one of the same id. Instants are milliseconds since the epoch."""

    session_id: str
    key_id: str
    mark: str
    begun_at: int
    used_at: int

    def is_over(self, now_ms: int, rule: SessionRule) -> bool:
        """Tell whether it was idle for too long, or has lasted for too long, or is of a time to come."""
        is_future = self.begun_at > self.used_at or self.used_at > now_ms + rule.idle_ms
        return is_future or now_ms - self.used_at >= rule.idle_ms or now_ms - self.begun_at >= rule.whole_ms

    def renewed(self, now_ms: int, rule: SessionRule) -> Session | None:
        """Return the session as used now; None: that need not be told yet."""
        return replace(self, used_at=now_ms) if now_ms - self.used_at >= rule.idle_ms // RENEW_PARTS else None


def session_token(session: Session, key: bytes) -> str:
    """Return what the cookie holds."""
    fields = [session.session_id, session.key_id, session.mark, session.begun_at, session.used_at]
    payload = _text(json.dumps(fields, separators=(",", ":")).encode())
    return f"{payload}.{_text(_mac(key, payload.encode()))}"


def read_session(token: str, key: bytes) -> Session | None:
    """Return the session that a cookie holds, whether it is over or not; None: nobody of ours has written this."""
    if len(token) > TOKEN_LENGTH_MAX or not token.isascii():
        return None
    payload, _, mac = token.partition(".")
    if not hmac.compare_digest(mac, _text(_mac(key, payload.encode()))):
        return None
    try:
        session_id, key_id, mark, begun_at, used_at = json.loads(_bytes(payload))
        return Session(str(session_id), str(key_id), str(mark), int(begun_at), int(used_at))
    except (ValueError, TypeError, binascii.Error):
        return None


def csrf_token(session_id: str, key: bytes) -> str:
    """Return what an unsafe request of this session must say in a header, which a page elsewhere cannot read."""
    return _text(_mac(key, f"csrf {session_id}".encode()))


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
