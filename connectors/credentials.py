"""Reading the providers' keys from files, and signing JSON Web Tokens with them (RFC 7515, RFC 7518)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

# P-256: both halves of a signature, and the private scalar, have this many bytes (RFC 7518 section 3.4).
SCALAR_BYTES = 32


class CredentialsError(Exception):
    """A setting that names credentials is wrong; the message says which and what to do, and never what is secret."""


def base64url(value: bytes) -> str:
    """RFC 7515: URL-safe, without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """The inverse, with or without padding. Raises ValueError for any other character."""
    text = text.rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def read_credentials(path: str, setting: str) -> bytes:
    """The bytes of the file that `setting` names. Raises CredentialsError."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CredentialsError(f"{setting}: cannot read {path!r} ({reason}). Set it to the path of the file.") from None


def load_p256_key(path: str, setting: str) -> ec.EllipticCurvePrivateKey:
    """A P-256 private key: PEM (as Apple's .p8), or 32 bytes in base64url (as most VAPID tools write it)."""
    content = read_credentials(path, setting)
    try:
        if b"-----BEGIN" in content:
            key: PrivateKeyTypes = serialization.load_pem_private_key(content, password=None)
        else:
            raw = from_base64url(content.decode("ascii").strip())
            if len(raw) != SCALAR_BYTES:
                raise ValueError
            key = ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())
    except (ValueError, TypeError):  # TypeError: it is encrypted
        raise CredentialsError(f"{setting}: {path!r} holds no unencrypted private key. Make it anew.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CredentialsError(f"{setting}: the key in {path!r} is not a P-256 key, which ES256 needs.")
    return key


def load_rsa_key(pem: str, setting: str) -> rsa.RSAPrivateKey:
    """An RSA private key in PEM."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise CredentialsError(f"{setting}: its private_key is no PEM key. Download the file anew.") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CredentialsError(f"{setting}: its private_key is not an RSA key, which RS256 needs.")
    return key


def sign_es256(key: ec.EllipticCurvePrivateKey, header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    """A JSON Web Token. The nonce is that of RFC 6979, so the same key, header and claims give the same token."""
    signed = _signing_input({"alg": "ES256", **header}, claims)
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    return f"{signed}.{base64url(r.to_bytes(SCALAR_BYTES, 'big') + s.to_bytes(SCALAR_BYTES, 'big'))}"


def sign_rs256(key: rsa.RSAPrivateKey, header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    """A JSON Web Token."""
    signed = _signing_input({"alg": "RS256", **header}, claims)
    return f"{signed}.{base64url(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _signing_input(header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (header, claims))
    return ".".join(base64url(part) for part in parts)
