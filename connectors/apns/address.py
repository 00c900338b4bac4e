"""What an address of APNs looks like. Pure."""

from __future__ import annotations

import re

from connectors.outcome import Device

# Apple: 32 bytes today in hex, "variable length" tomorrow; the bound only keeps a header in its frame.
DEVICE_TOKEN = re.compile(r"[0-9a-fA-F]{16,512}")


def fault(device: Device, *, allow_private: bool) -> str | None:
    """What is wrong with the address, as a sentence that begins with the field; None: nothing that can be seen."""
    if not DEVICE_TOKEN.fullmatch(device.address):
        return "address: must be an APNs device token, 16 to 512 hex digits"
    return None
