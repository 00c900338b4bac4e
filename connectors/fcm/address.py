"""What an address of FCM looks like. Pure."""

from __future__ import annotations

import re

from connectors.outcome import Device

# FCM names no limit; its tokens have 140 to 300 characters today.
TOKEN_CHARACTERS_MAX = 4_096
# Firebase Installations: 17 bytes that begin with the bits 0111, of whose base64url form the first 22 characters are
# kept. A registration token is far longer, so nobody has to say which of the two an address is.
INSTALLATION_ID = re.compile(r"[c-f][A-Za-z0-9_-]{21}")
# No documentation says which characters a token has; a space, or what is no ASCII, was never one of them.
_TOKEN = re.compile(r"[!-~]+")


def fault(device: Device, *, allow_private: bool) -> str | None:
    """What is wrong with the address, as a sentence that begins with the field; None: nothing that can be seen."""
    if len(device.address) > TOKEN_CHARACTERS_MAX or not _TOKEN.fullmatch(device.address):
        return (
            "address: must be an FCM registration token or a Firebase Installation ID, "
            f"1 to {TOKEN_CHARACTERS_MAX} characters of ASCII without spaces"
        )
    return None
