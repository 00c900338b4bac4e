"""Decryption of Web Push messages, as the browser does it: RFC 8291 over the aes128gcm coding of RFC 8188."""

from __future__ import annotations

import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SALT_BYTES = 16
HEADER_BYTES = SALT_BYTES + 4 + 1
PUBLIC_KEY_BYTES = 65
TAG_BYTES = 16
LAST_RECORD = 2  # the delimiter after which only padding comes (RFC 8188 section 2)


class UndecryptableError(Exception):
    """Not an aes128gcm message for this subscription."""


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """The uncompressed point, 65 bytes: the form in which p256dh and VAPID keys travel."""
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def decrypt(body: bytes, key: ec.EllipticCurvePrivateKey, key_public: bytes, auth: bytes) -> bytes:
    """The plaintext of one message. `key_public` is the public half of `key`, `auth` the subscription's secret.

    Raises UndecryptableError, also for more than one record, which RFC 8291 section 4 forbids.
    """
    if len(body) < HEADER_BYTES:
        raise UndecryptableError("shorter than the header")
    salt = body[:SALT_BYTES]
    record_size, id_length = struct.unpack_from("!IB", body, SALT_BYTES)
    if id_length != PUBLIC_KEY_BYTES:
        raise UndecryptableError("keyid is not an uncompressed P-256 point")
    sender_public = body[HEADER_BYTES : HEADER_BYTES + PUBLIC_KEY_BYTES]
    ciphertext = body[HEADER_BYTES + PUBLIC_KEY_BYTES :]
    if not TAG_BYTES < len(ciphertext) <= record_size or record_size < TAG_BYTES + 2:
        raise UndecryptableError("not exactly one record")
    try:
        sender = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender_public)
    except ValueError as error:
        raise UndecryptableError("keyid is not a point of P-256") from error
    shared = key.exchange(ec.ECDH(), sender)
    # HKDF with SHA-256 (RFC 5869) as RFC 8291 section 3.4 writes it out: no output is longer than one block.
    input_key = _hmac(_hmac(auth, shared), b"WebPush: info\x00" + key_public + sender_public + b"\x01")
    pseudo_random_key = _hmac(salt, input_key)
    content_key = _hmac(pseudo_random_key, b"Content-Encoding: aes128gcm\x00\x01")[:16]
    nonce = _hmac(pseudo_random_key, b"Content-Encoding: nonce\x00\x01")[:12]
    try:
        padded = AESGCM(content_key).decrypt(nonce, ciphertext, None)
    except InvalidTag:
        raise UndecryptableError("authentication failed") from None
    plaintext = padded.rstrip(b"\x00")
    if not plaintext or plaintext[-1] != LAST_RECORD:
        raise UndecryptableError("no delimiter of a last record")
    return plaintext[:-1]


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)
