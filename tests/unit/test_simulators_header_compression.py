"""The quick HPACK paths say what the `hpack` package says, of right blocks and of wrong ones."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given
from hypothesis import strategies as st

from connectors.simulators.header_compression import PlainEncoder, QuickDecoder

NAMES = st.sampled_from([b":path", b":status", b"ttl", b"apns-id", b"authorization", b"x" * 130]) | st.binary(
    min_size=1, max_size=12
)
LISTS = st.lists(st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=8), max_size=6)


@given(lists=LISTS, huffman=st.booleans(), table_size=st.sampled_from([None, 0, 100, 4096]))
def test_decodes_as_the_package_does(
    lists: list[list[tuple[bytes, bytes]]], huffman: bool, table_size: int | None
) -> None:
    """Any sequence of blocks decodes to the header lists that were encoded, over one growing table."""
    encoder, decoder = Encoder(), QuickDecoder()
    if table_size is not None:
        encoder.header_table_size = table_size
    for headers in lists:
        assert list(decoder.decode(encoder.encode(headers, huffman=huffman), raw=True)) == headers


@given(blocks=st.lists(st.binary(max_size=40), max_size=4))
def test_refuses_as_the_package_does(blocks: list[bytes]) -> None:
    """Any bytes decode to the same list as with the package, or are refused by both."""
    ours, theirs = QuickDecoder(), Decoder()
    for block in blocks:
        try:
            expected = [tuple(header) for header in theirs.decode(block, raw=True)]
        except HPACKError:
            with pytest.raises(HPACKError):
                ours.decode(block, raw=True)
            return
        assert list(ours.decode(block, raw=True)) == expected


@given(lists=LISTS, table_size=st.sampled_from([None, 0, 100]))
def test_what_is_encoded_can_be_decoded(lists: list[list[tuple[bytes, bytes]]], table_size: int | None) -> None:
    """The package decodes the blocks of the plain encoder, also after the peer has changed its table size."""
    encoder, decoder = PlainEncoder(), Decoder()
    if table_size is not None:
        encoder.header_table_size = table_size
        decoder.max_allowed_table_size = table_size
    for headers in lists:
        assert [tuple(header) for header in decoder.decode(encoder.encode(headers), raw=True)] == headers


def test_a_header_list_that_is_too_large_is_refused() -> None:
    """The limit counts each entry with its overhead, as RFC 7541 section 4.1 says."""
    block = Encoder().encode([(b"a", b"b")] * 3)
    assert len(list(QuickDecoder(3 * 34).decode(block, raw=True))) == 3
    with pytest.raises(HPACKError):
        QuickDecoder(3 * 34 - 1).decode(block, raw=True)
