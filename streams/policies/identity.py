"""The ids under which a notification is known outside, derived so that every attempt has the same."""

from __future__ import annotations

import binascii
import hashlib
import uuid

# Any fixed namespace serves, as long as it never changes: apns-id must be the same over all attempts.
PUSH_NAMESPACE = uuid.UUID("6f1f2c2e-6f4e-5d0b-9d2b-7f1f6d0f3a11")
_NAMESPACE_BYTES = PUSH_NAMESPACE.bytes
_VARIANTS = {f"{digit:x}": f"{digit & 0b0011 | 0b1000:x}" for digit in range(16)}  # its two high bits are 10
COLLAPSE_ID_BYTES = 24  # 32 characters, the strictest limit of the three providers: RFC 8030, section 5.4
_URL_SAFE = bytes.maketrans(b"+/", b"-_")  # RFC 4648, section 5


def push_id(slot: bytes, notification_id: str, device_id: str) -> str:
    """Return the id of the push of one notification to one device, a UUID in canonical form (apns-id)."""
    # RFC 9562, section 5.5, as uuid.uuid5 has it, which takes three times as long for its UUID object.
    name = f"{slot.hex()} {notification_id} {device_id}".encode()
    text = hashlib.sha1(_NAMESPACE_BYTES + name, usedforsecurity=False).hexdigest()
    variant = _VARIANTS[text[16]]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def collapse_id(slot: bytes) -> str:
    """Return what makes a device show one notification of a slot: apns-collapse-id, collapse_key and tag, Topic."""
    digest = hashlib.sha256(slot).digest()[:COLLAPSE_ID_BYTES]
    return binascii.b2a_base64(digest, newline=False).translate(_URL_SAFE).decode()


def seen_digest(slot: bytes, notification_id: bytes) -> bytes:
    """Return the 16 bytes by which a notification of a slot is remembered; two meet after some 2**64 of them."""
    return hashlib.blake2b(slot + b"\0" + notification_id, digest_size=16).digest()
