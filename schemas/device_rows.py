"""Reads rows of the table `directory` that hold a user's devices, without a detour over dictionaries.

Rows were checked when they were written, and are always in single-object encoding.
"""

from __future__ import annotations

from typing import Final, Literal

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.structure import read_varint
from schemas.varint import UnusualError, read_instant, read_text

_HEADER: Final = CONTRACTS["Devices"].header
_BODY_START: Final = len(_HEADER)
_CODEC: Final = Codec()

ProviderSymbol = Literal["APNS", "FCM", "WEBPUSH"]
_PROVIDERS: Final[dict[int, ProviderSymbol]] = {0: "APNS", 2: "FCM", 4: "WEBPUSH"}

DeviceFields = tuple[str, ProviderSymbol, str, str | None, str | None, int]
"""One Device: device_id, provider, address, p256dh, auth, registered_at."""


def read_device_row(row: bytes) -> list[DeviceFields]:
    """The devices of a row; the fields are those of schemas/avsc/devices.avsc. Raises PoisonError for a row of a
    schema that does not resolve."""
    if row.startswith(_HEADER):
        try:
            return _read_usual(row)
        except (IndexError, KeyError, UnicodeDecodeError, UnusualError):
            pass  # Legal: the complete reader knows.
    record = _CODEC.decode_own(row, "Devices")
    names = ("device_id", "provider", "address", "p256dh", "auth", "registered_at")
    return [tuple(device[name] for name in names) for device in record["devices"]]


def _read_usual(row: bytes) -> list[DeviceFields]:
    size = row[_BODY_START]
    count_at = _BODY_START + 1 + (size >> 1)
    count = row[count_at]
    if (size | count) & 0x81:  # negative, or more than one byte
        raise UnusualError
    at = count_at + 1
    found: list[DeviceFields] = []
    for _ in range(count >> 1):
        device_id, at = read_text(row, at)
        provider = _PROVIDERS[row[at]]
        address, at = read_text(row, at + 1)
        p256dh, at = _optional_text(row, at)
        auth, at = _optional_text(row, at)
        registered_at, at = _instant(row, at)
        found.append((device_id, provider, address, p256dh, auth, registered_at))
    if count and row[at]:
        raise UnusualError
    return found


def _optional_text(row: bytes, at: int) -> tuple[str | None, int]:
    branch = row[at]
    if not branch:
        return None, at + 1
    if branch != 2:
        raise UnusualError
    return read_text(row, at + 1)


def _instant(row: bytes, at: int) -> tuple[int, int]:
    try:
        return read_instant(row, at), at + 6
    except UnusualError:
        return read_varint(row, at)
