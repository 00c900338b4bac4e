"""JSON Web Tokens as the providers take them: compact, one fixed algorithm, checked by the simulators' own clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class BadTokenError(Exception):
    """Not a token, not this algorithm, or not this key's signature."""


@dataclass(frozen=True, slots=True)
class Token:
    """Header and claims of a token whose signature is right."""

    header: dict[str, Any]
    claims: dict[str, Any]

    def instant(self, claim: str) -> int:
        """A NumericDate claim in whole seconds. Raises BadTokenError where it is missing or no number."""
        value = self.claims.get(claim)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadTokenError(f"claim {claim} is missing or not a number")
        return int(value)


def verify(token: str, key: PublicKey, algorithm: str) -> Token:
    """Check the signature and the shape; no claim is looked at. Raises BadTokenError."""
    try:
        decoded = jwt.decode_complete(
            token,
            key,
            algorithms=[algorithm],
            # Claims are checked by the caller: each provider has its own rules, and the clock is not the machine's.
            options={
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_aud": False,
                "verify_iss": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except jwt.PyJWTError as error:
        raise BadTokenError(str(error)) from error
    return Token(decoded["header"], decoded["payload"])
