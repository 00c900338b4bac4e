"""Message encryption for Web Push."""

from __future__ import annotations

import http_ece  # the second opinion
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.credentials import base64url, from_base64url
from connectors.webpush.encryption import (
    BODY_BYTES_MAX,
    PLAINTEXT_BYTES_MAX,
    SubscriptionKeyError,
    encrypt,
    padded_length,
    public_bytes,
)

AUTH = bytes(range(16))
RECEIVER = ec.derive_private_key(11, ec.SECP256R1())
P256DH = public_bytes(RECEIVER.public_key())


def test_the_example_of_rfc_8291_gives_its_bytes() -> None:
    """RFC 8291 appendix A, byte for byte."""
    sender = from_base64url("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
    body = encrypt(
        from_base64url("V2hlbiBJIGdyb3cgdXAsIEkgd2FudCB0byBiZSBhIHdhdGVybWVsb24"),
        from_base64url("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
        from_base64url("BTBZMqHH6r4Tts7J_aSIgg"),
        sender=ec.derive_private_key(int.from_bytes(sender, "big"), ec.SECP256R1()),
        salt=from_base64url("DGv6ra1nlYgDCS1FRnbzlw"),
    )
    assert base64url(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
        "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=PLAINTEXT_BYTES_MAX))
def test_what_is_encrypted_decrypts_in_another_implementation(plaintext: bytes) -> None:
    """http-ece reads every message, and none is longer than every push service takes."""
    body = encrypt(plaintext, P256DH, AUTH, length=padded_length(len(plaintext)))
    assert len(body) <= BODY_BYTES_MAX
    assert http_ece.decrypt(body, private_key=RECEIVER, auth_secret=AUTH, version="aes128gcm") == plaintext


def test_texts_of_about_the_same_length_have_the_same_length() -> None:
    """Padding hides the exact length."""
    assert len({len(encrypt(b"x" * size, P256DH, AUTH, length=padded_length(size))) for size in range(1, 129)}) == 1


def test_no_two_messages_share_a_key() -> None:
    """Salt and sender key are new for each message."""
    first, second = encrypt(b"x", P256DH, AUTH), encrypt(b"x", P256DH, AUTH)
    assert first[:16] != second[:16]
    assert first[21:86] != second[21:86]


@pytest.mark.parametrize(
    ("p256dh", "auth"), [(b"", AUTH), (P256DH, b""), (b"\x04" + bytes(64), AUTH), (P256DH[:-1], AUTH)]
)
def test_keys_that_are_none_are_refused(p256dh: bytes, auth: bytes) -> None:
    """A point that is not on the curve, or a wrong length, is told as such."""
    with pytest.raises(SubscriptionKeyError):
        encrypt(b"x", p256dh, auth)
