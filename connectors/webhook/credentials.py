"""Signatures by Standard Webhooks, "Signature scheme": v1, HMAC-SHA256."""

from __future__ import annotations

import base64
import hashlib
import hmac

from connectors.credentials import CredentialsError, read_credentials
from connectors.http import Fields

PREFIX = b"whsec_"
# "At least 24 bytes (192 bits, 512 maximum)".
SECRET_BYTES = range(24, 65)


def load_secrets(path: str) -> list[bytes]:
    """The secrets of a file, one a line. Raises CredentialsError, which shows none."""
    secrets = [_secret(line) for line in read_credentials(path, "Webhook secret_file").split()]
    if not secrets or not all(len(secret) in SECRET_BYTES for secret in secrets):
        raise CredentialsError(f"Webhook secret_file: {path!r} must hold lines of whsec_ and 24 to 64 bytes in base64.")
    return secrets


def sign(secrets: list[bytes], webhook_id: str, timestamp: int, body: bytes) -> Fields:
    """The headers of one attempt. Signed with each secret, so that receivers can change from an old one to a new one
    without losing a message."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    digests = [hmac.digest(secret, signed, hashlib.sha256) for secret in secrets]
    signature = " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
    return (("webhook-id", webhook_id), ("webhook-timestamp", str(timestamp)), ("webhook-signature", signature))


def _secret(line: bytes) -> bytes:
    try:
        return base64.b64decode(line.removeprefix(PREFIX), validate=True) if line.startswith(PREFIX) else b""
    except ValueError:
        return b""
