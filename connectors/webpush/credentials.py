"""VAPID: a signed token for each push service that says who sends (RFC 8292)."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from connectors.credentials import CredentialsError, base64url, sign_es256
from connectors.webpush.encryption import public_bytes

# RFC 8292 section 2 allows 24 hours; half of it leaves room for a clock that is wrong.
LIFETIME_SECONDS = 43_200
RENEW_EARLY_SECONDS = 21_600
# Push services in the world: a handful. Origins are user input, so what is kept has a bound.
ORIGINS_MAX = 1_024
# RFC 8292 section 2.1; Apple's push service answers 403 to anything else.
_SUBJECT = re.compile(r"(mailto:[^@\s]+@[^@\s]+|https://\S+)")


@dataclass(frozen=True, slots=True)
class _Token:
    authorization: str
    expires_at: int


class VapidTokens:
    """The value of the Authorization header for each origin."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, subject: str, clock: Callable[[], float]) -> None:
        if not (_SUBJECT.fullmatch(subject) and subject.isascii()):
            raise CredentialsError("Web Push subject: set it to mailto:address or https://page, where you are reached.")
        self._key = key
        self._key_public = base64url(public_bytes(key.public_key()))
        self._subject = subject
        self._clock = clock
        self._tokens: OrderedDict[str, _Token] = OrderedDict()

    def authorization(self, origin: str) -> str:
        """The header for `origin` (https://host[:port]); a new one when it is time."""
        token = self._tokens.get(origin)
        if token is not None and self._clock() < token.expires_at - RENEW_EARLY_SECONDS:
            return token.authorization
        return self._sign(origin)

    def renew(self, origin: str, refused: str) -> None:
        """`origin` did not take `refused`: it gets another one, unless it has one already."""
        token = self._tokens.get(origin)
        if token is not None and token.authorization == refused:
            self._sign(origin)

    def _sign(self, origin: str) -> str:
        known = self._tokens.get(origin)
        expires_at = int(self._clock()) + LIFETIME_SECONDS
        if known is not None and known.expires_at >= expires_at:
            expires_at = known.expires_at + 1  # signatures are deterministic: only another claim makes another token
        claims = {"aud": origin, "exp": expires_at, "sub": self._subject}
        token = sign_es256(self._key, {"typ": "JWT"}, claims)
        authorization = f"vapid t={token}, k={self._key_public}"
        self._tokens[origin] = _Token(authorization, expires_at)
        self._tokens.move_to_end(origin)
        if len(self._tokens) > ORIGINS_MAX:
            self._tokens.popitem(last=False)
        return authorization
