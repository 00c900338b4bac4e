"""Provider tokens, by Apple's "Establishing a token-based connection to APNs".

Apple takes a token that is at most an hour old, and answers TooManyProviderTokenUpdates to one that changes more
often than every 20 minutes. Each worker of a fleet signs for itself, so instants of issue are rounded to a common
grid and signatures are deterministic (RFC 6979): workers with the same key present the same bytes.

    grid     |---------30---------|---------30---------|
    iat      ^ (seen a minute after, so that no clock issues in the future)
    in use   at least 21 minutes from the first use, however late in its half hour a worker starts:
             the oldest token presented is 1 + 30 + 21 = 52 minutes old.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec

from connectors.credentials import sign_es256

GRID_SECONDS = 1_800
GRID_DELAY_SECONDS = 60
USE_SECONDS_MIN = 1_260
# Apple's own limit, for the renewal that an ExpiredProviderToken asks for.
RENEWAL_SECONDS_MIN = 1_200


class ProviderTokens:
    """The token that all sends share."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, key_id: str, team_id: str, clock: Callable[[], float]) -> None:
        self._key = key
        self._key_id = key_id
        self._team_id = team_id
        self._clock = clock
        self._authorization = ""
        self._issued_at = 0
        self._used_since = 0.0
        self._renewed_at = float("-inf")

    def authorization(self) -> str:
        """The value of the header; a new one when it is time."""
        now = self._clock()
        if not self._authorization or now - self._used_since >= USE_SECONDS_MIN:
            issued_at = int((now - GRID_DELAY_SECONDS) // GRID_SECONDS) * GRID_SECONDS
            if issued_at > self._issued_at:
                self._issue(issued_at, now)
        return self._authorization

    def renew(self, refused: str) -> bool:
        """APNs called `refused` expired: whether there is another token to try. At most one is made in 20 minutes."""
        if refused != self._authorization:
            return True
        now = self._clock()
        if now - self._renewed_at < RENEWAL_SECONDS_MIN:
            return False
        self._renewed_at = now
        self._issue(int(now), now)
        return True

    def _issue(self, issued_at: int, now: float) -> None:
        claims = {"iss": self._team_id, "iat": issued_at}
        self._authorization = "bearer " + sign_es256(self._key, {"kid": self._key_id}, claims)
        self._issued_at = issued_at
        self._used_since = now
