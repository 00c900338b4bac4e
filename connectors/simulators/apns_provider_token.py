"""The provider tokens of APNs: ES256, at most an hour old, and not renewed more often than every 20 minutes.

Source: Apple, "Establishing a token-based connection to APNs".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from connectors.simulators.apns_refusal import refuse
from connectors.simulators.json_web_token import BadTokenError, verify
from connectors.simulators.provider import Clock

LIFETIME_MS = 3_600_000
UPDATE_INTERVAL_MS = 20 * 60_000
# Apple names no number. A clock that runs ahead by less than this passes.
CLOCK_SKEW_MS = 60_000
# A fleet may have one token for each process; one token for each request is what Apple forbids.
TOKENS_IN_INTERVAL_MAX = 100


@dataclass(slots=True)
class _Connection:
    """The tokens that one connection has shown, and when the last one was new to it."""

    tokens: set[str] = field(default_factory=set)
    updated_at_ms: int = 0
    may_update_early: bool = False


class ProviderTokens:
    """Decides whether an authorization header is good. Tokens are verified once and then remembered."""

    def __init__(self, key_id: str, team_id: str, key: ec.EllipticCurvePublicKey, clock_ms: Clock) -> None:
        self._key_id = key_id
        self._team_id = team_id
        self._key = key
        self._clock_ms = clock_ms
        self._issued_at_ms: dict[str, int] = {}
        self._first_seen_ms: deque[int] = deque()
        self._expired: set[str] = set()
        self._connections: dict[int, _Connection] = {}

    def check(self, authorization: str | None, connection: int) -> None:
        """Raise the RefusedError that `authorization` deserves on `connection`, if any."""
        if not authorization:
            raise refuse(403, "MissingProviderToken")
        now_ms = self._clock_ms()
        issued_at_ms = self._issued_at_ms.get(authorization)
        if issued_at_ms is None:
            issued_at_ms = self._verify(authorization)
            self._count_new(authorization, issued_at_ms, now_ms)
        if authorization in self._expired or now_ms - issued_at_ms > LIFETIME_MS:
            raise refuse(403, "ExpiredProviderToken")
        if issued_at_ms > now_ms + CLOCK_SKEW_MS:
            raise refuse(403, "InvalidProviderToken")
        self._check_update(authorization, connection, now_ms)

    def expire(self, authorization: str) -> None:
        """Let this token count as too old; who used it may renew it at once."""
        if authorization not in self._expired and self._first_seen_ms:
            # The renewal that this forces is not held against the sender.
            self._first_seen_ms.popleft()
        self._expired.add(authorization)
        for connection in self._connections.values():
            if authorization in connection.tokens:
                connection.may_update_early = True

    def _verify(self, authorization: str) -> int:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise refuse(403, "InvalidProviderToken")
        if not token:
            raise refuse(403, "MissingProviderToken")
        try:
            verified = verify(token, self._key, "ES256")
            issued_at_ms = verified.instant("iat") * 1000
        except BadTokenError:
            raise refuse(403, "InvalidProviderToken") from None
        if verified.header.get("kid") != self._key_id or verified.claims.get("iss") != self._team_id:
            raise refuse(403, "InvalidProviderToken")
        return issued_at_ms

    def _count_new(self, authorization: str, issued_at_ms: int, now_ms: int) -> None:
        while self._first_seen_ms and now_ms - self._first_seen_ms[0] >= UPDATE_INTERVAL_MS:
            self._first_seen_ms.popleft()
        if len(self._first_seen_ms) >= TOKENS_IN_INTERVAL_MAX:
            raise refuse(429, "TooManyProviderTokenUpdates")
        self._first_seen_ms.append(now_ms)
        self._issued_at_ms[authorization] = issued_at_ms

    def _check_update(self, authorization: str, number: int, now_ms: int) -> None:
        connection = self._connections.get(number)
        if connection is None:
            connection = self._connections[number] = _Connection()
        if authorization in connection.tokens:
            return
        early = connection.tokens and now_ms - connection.updated_at_ms < UPDATE_INTERVAL_MS
        if early and not connection.may_update_early:
            raise refuse(429, "TooManyProviderTokenUpdates")
        connection.tokens.add(authorization)
        connection.updated_at_ms = now_ms
        connection.may_update_early = False
