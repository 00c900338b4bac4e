"""VAPID: who sends Web Push messages says so with a signed token (RFC 8292)."""

from __future__ import annotations

import base64
import binascii
import re

from cryptography.hazmat.primitives.asymmetric import ec

from connectors.simulators.json_web_token import BadTokenError, verify
from connectors.simulators.provider import Clock, RefusedError
from connectors.simulators.webpush_refusal import refuse

LIFETIME_SECONDS_MAX = 24 * 3600  # RFC 8292 section 2
_PARAMETER = re.compile(r'([a-z]+)=(?:"([^"]*)"|([A-Za-z0-9._~+/=-]+))')
_SUBJECT = re.compile(r"(mailto:[^@\s]+@[^@\s]+|https://\S+)")


class Vapid:
    """Checks Authorization headers for one origin. What was verified once is remembered until it runs out."""

    def __init__(self, key_public: bytes, clock_ms: Clock) -> None:
        self.origin = ""
        self._key_public = key_public
        self._clock_ms = clock_ms
        self._expires_at: dict[str, int] = {}
        self._void: set[str] = set()

    def check(self, authorization: str | None) -> None:
        """Raise the RefusedError that `authorization` deserves: 401 absent, 403 not valid (RFC 8292 section 4.2)."""
        if not authorization:
            raise refuse(401, "missing_vapid", 109, "Missing VAPID authorization", ((b"www-authenticate", b"vapid"),))
        if authorization in self._void:
            raise _invalid("token is no longer valid")
        now = self._clock_ms() // 1000
        expires_at = self._expires_at.get(authorization)
        if expires_at is None:
            expires_at = self._verify(authorization, now)
            self._expires_at[authorization] = expires_at
        if expires_at <= now:
            raise _invalid("token has expired")

    def void(self, authorization: str) -> None:
        """Let this header be refused from now on."""
        self._void.add(authorization)

    def _verify(self, authorization: str, now: int) -> int:
        scheme, _, parameters = authorization.partition(" ")
        if scheme.lower() != "vapid":
            raise _invalid("scheme is not vapid")
        found = {name: quoted or plain for name, quoted, plain in _PARAMETER.findall(parameters)}
        if "t" not in found or "k" not in found:
            raise _invalid("parameter t or k is missing")
        try:
            key_bytes = base64.urlsafe_b64decode(found["k"] + "=" * (-len(found["k"]) % 4))
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key_bytes)
        except (ValueError, binascii.Error):
            raise _invalid("parameter k is not a P-256 public key") from None
        try:
            token = verify(found["t"], key, "ES256")
            expires_at = token.instant("exp")
        except BadTokenError as error:
            raise _invalid(str(error)) from None
        if key_bytes != self._key_public:
            raise _invalid("the subscription is restricted to another key")
        if token.claims.get("aud") != self.origin:
            raise _invalid(f"aud must be {self.origin}")
        subject = token.claims.get("sub")
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            # RFC 8292 lets it be absent; Apple's push service answers 403 without it.
            raise _invalid("sub must be a mailto: or https: URI")
        if expires_at > now + LIFETIME_SECONDS_MAX:
            raise _invalid("exp is more than 24 hours away")
        return expires_at


def _invalid(message: str) -> RefusedError:
    return refuse(403, "invalid_vapid", 109, f"Invalid VAPID authorization: {message}")
