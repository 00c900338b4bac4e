"""Avro's integers as bytes: zigzag, seven bits a byte, least significant first.

Nearly all numbers here are instants and offsets, and those of one chunk differ in their low bits only: the two low
bytes come from a table, the high ones from a small cache. That is 0.2 µs instead of 0.8.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 (its own name says nothing)
from typing import Final


class UnusualError(Exception):
    """What a fast reader leaves to the complete one; says nothing of the bytes."""


_LOW: Final = tuple(bytes((low << 1 & 0x7F | 0x80, low >> 6 | 0x80)) for low in range(1 << 13))
_HIGH_MAX: Final = 4096  # Of instants, one entry lasts 8 s: more than any chunk needs, and 0.5 MB at most.
_high: Final[dict[int, bytes]] = {}


def _unsigned(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


SHORT: Final = tuple(_unsigned(number << 1) for number in range(1024))
"""The bytes of the integers from 0 to 1023: lengths, partitions, counts."""


def write_long(number: int) -> bytes:
    """The bytes of a long (or an int). Raises OverflowError outside 64 bits."""
    if 0 <= number < 1024:
        return SHORT[number]
    high = _high.get(number >> 13)
    if high is None:
        unsigned = number << 1 if number >= 0 else ~(number << 1)
        if unsigned >> 64:
            raise OverflowError(f"{number} is not a long of 64 bits")
        if number < 1 << 13:
            return _unsigned(unsigned)
        if len(_high) >= _HIGH_MAX:
            _high.clear()
        high = _high[number >> 13] = _unsigned(unsigned >> 14)
    return _LOW[number & 0x1FFF] + high


def write_bytes(text: bytes) -> bytes:
    """The bytes of a string (of valid UTF-8) or of bytes: the length, then the bytes."""
    size = len(text)
    return (SHORT[size] if size < 1024 else write_long(size)) + text


_INSTANT_PARTS: Final = Struct("<HI").unpack_from
_high_read: Final[dict[int, int]] = {}


def read_instant(value: bytes, at: int) -> int:
    """The long of exactly six bytes at a position: in milliseconds, July 1970 to September 2039.

    Raises UnusualError for any other; the complete reader is `schemas.structure.read_varint`.
    """
    try:
        low, high = _INSTANT_PARTS(value, at)
    except StructError:
        raise UnusualError from None
    return instant_of(low, high)


def instant_of(low: int, high: int) -> int:
    """The same, of the first two and the last four bytes as little-endian integers."""
    if low & 0x8081 != 0x8080:
        raise UnusualError
    return _high_of(high) + ((low & 0x7F | low >> 1 & 0x3F80) >> 1)


def _high_of(high: int) -> int:
    number = _high_read.get(high)
    if number is None:
        if high & 0x80808080 != 0x00808080:
            raise UnusualError
        if len(_high_read) >= _HIGH_MAX:
            _high_read.clear()
        number = (high & 0x7F | high >> 1 & 0x3F80 | high >> 2 & 0x1FC000 | high >> 3 & 0xFE00000) << 13
        _high_read[high] = number
    return number


def read_text(value: bytes, at: int) -> tuple[str, int]:
    """The string at a position, of less than 8 kB, and the position after it.

    Raises UnusualError for a longer one and one that is cut off, IndexError at the end, UnicodeDecodeError.
    """
    size = value[at]
    at += 1
    if size > 0x7F:
        high = value[at]
        at += 1
        if high > 0x7F:
            raise UnusualError
        size = size & 0x7F | high << 7
    end = at + (size >> 1)
    if size & 1 or end > len(value):
        raise UnusualError
    return str(value[at:end], "utf-8"), end
