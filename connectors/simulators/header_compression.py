"""HPACK (RFC 7541) for servers that answer thousands of requests a second: the `hpack` package with quicker paths.

Decoding took a third of the time of a request, most of it in views of views of the block and in Huffman codes that
are walked nibble by nibble. Encoding searched a table for headers that never come again.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache

from hpack import Decoder, Encoder, HeaderTuple, HPACKDecodingError, OversizedHeaderListError
from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE
from hpack.table import HeaderTable

_STATIC = HeaderTable.STATIC_TABLE
_ENTRY_OVERHEAD_BYTES = 32  # what each entry counts beside its text (RFC 7541 section 4.1)
_INTEGER_BYTES_MAX = 5  # no length or index of ours needs more; a longer one is an attack


class QuickDecoder(Decoder):
    """Decodes what hpack.Decoder decodes, into the same tables, and refuses what it refuses."""

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        """The header list of one block, as bytes if `raw`. Raises HPACKError."""
        if not raw:
            return super().decode(data, raw)
        table = self.header_table
        headers: list[HeaderTuple] = []
        size = position = 0
        end = len(data)
        try:
            while position < end:
                first = data[position]
                if first & 0x80:
                    index, position = _integer(data, position, 0x7F)
                    name, value = table.get_by_index(index)
                elif first & 0xE0 == 0x20:
                    if headers:
                        raise HPACKDecodingError("Table size update not at the start of the block")
                    position += self._update_encoding_context(data[position:])
                    continue
                else:
                    index, position = _integer(data, position, 0x3F if first & 0x40 else 0x0F)
                    if index:
                        name = table.get_by_index(index)[0]
                    else:
                        name, position = _string(data, position)
                    value, position = _string(data, position)
                    if first & 0x40:
                        table.add(name, value)
                headers.append((name, value))  # type: ignore[arg-type]  # (a plain pair does; h2 only reads it)
                size += len(name) + len(value) + _ENTRY_OVERHEAD_BYTES
                if size > self.max_header_list_size:
                    raise OversizedHeaderListError(f"A header list larger than {self.max_header_list_size}")
        except IndexError:
            raise HPACKDecodingError("Truncated header block") from None
        self._assert_valid_table_size()
        return headers


class PlainEncoder(Encoder):
    """Writes each header as a literal that no table remembers: no state, nothing to search."""

    def encode(self, headers: Iterable[tuple[bytes, bytes]], huffman: bool = True) -> bytes:  # type: ignore[override] # pairs only
        # (the package's own signature takes more kinds of headers than h2 ever gives)
        """The block for `headers`, whose names are lower case."""
        if self.header_table.resized:
            # A table size that the peer has changed must be acknowledged in the next block (RFC 7541 section 4.2).
            return super().encode(headers, huffman)
        parts = []
        for name, value in headers:
            if name == b":status" and value in _STATUS_BLOCKS:
                parts.append(_STATUS_BLOCKS[value])
            else:
                parts += (_literal_name(name), _length(len(value)), value)
        return b"".join(parts)


def _integer(data: bytes, position: int, mask: int) -> tuple[int, int]:
    number = data[position] & mask
    position += 1
    if number < mask:
        return number, position
    for shift in range(0, 7 * _INTEGER_BYTES_MAX, 7):
        byte = data[position]
        position += 1
        number += (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise HPACKDecodingError("Integer too long")


def _string(data: bytes, position: int) -> tuple[bytes, int]:
    coded = data[position] & 0x80
    length, position = _integer(data, position, 0x7F)
    end = position + length
    if end > len(data):
        raise HPACKDecodingError("Truncated header block")
    text = data[position:end]
    return (_huffman(text) if coded else text), end


# Paths and tokens come more than once; 4,096 of them are a few hundred kB.
@lru_cache(maxsize=4096)
def _huffman(coded: bytes) -> bytes:
    state = 0
    complete = True
    parts = []
    for byte in coded:
        state, emitted, complete = _huffman_step(state << 8 | byte)
        parts.append(emitted)
    if not complete:
        raise HPACKDecodingError("Incomplete Huffman string")
    return b"".join(parts)


@cache
def _huffman_step(state_and_byte: int) -> tuple[int, bytes, bool]:
    """What one byte does in one state: at most 65,536 of them, found as they are needed."""
    state, byte = divmod(state_and_byte, 256)
    emitted = b""
    flags = 0
    for nibble in (byte >> 4, byte & 0x0F):
        state, flags, symbol = HUFFMAN_TABLE[state * 16 + nibble]
        if flags & HUFFMAN_FAIL:
            raise HPACKDecodingError("Invalid Huffman string")
        if flags & HUFFMAN_EMIT_SYMBOL:
            emitted += bytes((symbol,))
    return state, emitted, bool(flags & HUFFMAN_COMPLETE)


@lru_cache(maxsize=256)
def _literal_name(name: bytes) -> bytes:
    return b"\x00" + _length(len(name)) + name


def _length(length: int) -> bytes:
    if length < 0x7F:
        return bytes((length,))
    coded = bytearray(b"\x7f")
    length -= 0x7F
    while length >= 0x80:
        coded.append(length & 0x7F | 0x80)
        length >>= 7
    coded.append(length)
    return bytes(coded)


_STATUS_BLOCKS = {
    value: bytes((0x80 | index,)) for index, (name, value) in enumerate(_STATIC, start=1) if name == b":status"
}
