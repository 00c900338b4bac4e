"""The HTTP/2 session against hyper-h2 as the server, in memory."""

from __future__ import annotations

from collections.abc import Iterable

import h2.connection
import h2.events
import h2.settings
import pytest
from h2.config import H2Configuration
from hpack import Decoder, Encoder
from hyperframe.frame import GoAwayFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.exchange import CONNECTION_LOST, GOAWAY, REFUSED_STREAM, STREAM_RESET, Answer, Failure, Fields, Post
from connectors.http2 import frames
from connectors.http2.frames import ErrorCode, FrameReader, FrameType, ProtocolError
from connectors.http2.headers import HeaderDecoder, HeaderEncoder, is_index_only
from connectors.http2.session import Ended, Session

TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=300)
NAMES = st.sampled_from(["authorization", "apns-topic", "ttl", "x-a", "content-type", "urgency"])


def texts(fields: Iterable[tuple[str | bytes, str | bytes]]) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in fields]


class Pair:
    """A session and a server; `exchange` moves bytes until both are silent."""

    def __init__(self, **server_settings: int) -> None:
        self.session = Session("push.example", streams_max=100)
        self.server = h2.connection.H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        values = {getattr(h2.settings.SettingCodes, name): value for name, value in server_settings.items()}
        self.server.local_settings = h2.settings.Settings(client=False, initial_values=values)
        self.server.initiate_connection()
        self.requests: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}
        self.complete: list[int] = []
        self.acknowledge = True

    def exchange(self) -> list[Ended]:
        ended: list[Ended] = []
        while True:
            up, down = self.session.take_output(), b""
            for event in self.server.receive_data(up):
                if isinstance(event, h2.events.RequestReceived):
                    self.requests[event.stream_id] = {str(name): str(value) for name, value in event.headers}
                elif isinstance(event, h2.events.DataReceived):
                    self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                    if self.acknowledge:
                        self.server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self.complete.append(event.stream_id)
            down = self.server.data_to_send()
            ended += self.session.feed(down)
            if not up and not down:
                return ended

    def open(self, body: bytes = b"body") -> int:
        stream_id = self.session.open(Post("/path", (("a", "b"),), (("c", "d"),), body))
        assert stream_id is not None
        return stream_id

    def answer(self, stream_id: int, status: int = 200, body: bytes = b"") -> None:
        self.server.send_headers(stream_id, [(":status", str(status)), ("x-id", "7")], end_stream=not body)
        if body:
            self.server.send_data(stream_id, body, end_stream=True)


def test_a_request_arrives_as_it_was_made_and_its_answer_comes_back() -> None:
    """Method, path, both groups of headers and the body reach the server; status, headers and body come back."""
    pair = Pair()
    pair.exchange()
    stream_id = pair.open(b"hello")
    pair.exchange()
    assert pair.requests[stream_id] == {
        ":method": "POST",
        ":scheme": "https",
        ":authority": "push.example",
        ":path": "/path",
        "a": "b",
        "c": "d",
    }
    assert pair.bodies[stream_id] == b"hello"
    pair.answer(stream_id, 410, b"gone")
    (ended,) = pair.exchange()
    assert ended.stream_id == stream_id
    assert isinstance(ended.result, Answer)
    assert (ended.result.status, ended.result.headers["x-id"], ended.result.body) == (410, "7", b"gone")


def test_nothing_may_be_opened_before_the_settings_of_the_server() -> None:
    """Capacity is zero until SETTINGS, and then the lower of the two limits."""
    pair = Pair(MAX_CONCURRENT_STREAMS=3)
    assert pair.session.capacity() == 0
    pair.exchange()
    assert pair.session.capacity() == 3
    pair.open()
    assert pair.session.capacity() == 2


def test_a_refused_stream_has_certainly_not_arrived() -> None:
    """RST_STREAM with REFUSED_STREAM is certain, with any other code it is not."""
    pair = Pair()
    pair.exchange()
    refused, reset = pair.open(), pair.open()
    pair.exchange()
    pair.server.reset_stream(refused, ErrorCode.REFUSED_STREAM)
    pair.server.reset_stream(reset, ErrorCode.INTERNAL_ERROR)
    results = dict(pair.exchange())
    assert results[refused] == Failure(False, REFUSED_STREAM)
    assert results[reset] == Failure(True, STREAM_RESET, "INTERNAL_ERROR")


def test_goaway_ends_what_is_beyond_it_and_lets_the_rest_be_answered() -> None:
    """Streams above the last id have not arrived; those below are answered later; nothing new is opened."""
    pair = Pair()
    pair.exchange()
    first, second = pair.open(), pair.open()
    pair.exchange()
    goaway = GoAwayFrame(0, last_stream_id=first, additional_data=b"Shutdown").serialize()
    assert pair.session.feed(goaway) == [Ended(second, Failure(False, GOAWAY, "GOAWAY NO_ERROR Shutdown"))]
    assert pair.session.capacity() == 0
    pair.answer(first)
    (ended,) = pair.exchange()
    assert isinstance(ended.result, Answer)


def test_what_a_goaway_covers_may_have_arrived_when_the_connection_ends() -> None:
    """A lost connection leaves every stream that was written in doubt."""
    pair = Pair()
    pair.exchange()
    stream_id = pair.open()
    pair.exchange()
    pair.session.feed(GoAwayFrame(0, last_stream_id=stream_id).serialize())
    assert pair.session.lose("cut") == [Ended(stream_id, Failure(True, CONNECTION_LOST, "GOAWAY NO_ERROR"))]


def test_a_status_that_is_here_outweighs_a_reset_that_follows() -> None:
    """The server has said what became of the request; the rest of the body does not matter."""
    pair = Pair()
    pair.exchange()
    stream_id = pair.open()
    pair.exchange()
    pair.server.send_headers(stream_id, [(":status", "410")])
    pair.server.reset_stream(stream_id, ErrorCode.INTERNAL_ERROR)
    (ended,) = pair.exchange()
    assert isinstance(ended.result, Answer)
    assert ended.result.status == 410


@settings(deadline=None)
@given(window=st.integers(100, 3_000), size=st.integers(0, 9_000))
def test_a_body_honours_the_window_of_its_stream(window: int, size: int) -> None:
    """Whatever the stream's window, the body arrives whole; hyper-h2 would reject a byte beyond the window."""
    pair = Pair(INITIAL_WINDOW_SIZE=window)
    pair.exchange()
    body = bytes(size)
    stream_id = pair.open(body)
    pair.exchange()
    assert pair.complete == [stream_id]
    assert pair.bodies.get(stream_id, b"") == body


def test_no_request_leaves_while_the_connections_window_is_too_small() -> None:
    """`admits` says no once the window of the connection cannot hold the body, and yes after WINDOW_UPDATE."""
    pair = Pair(INITIAL_WINDOW_SIZE=1_000_000)
    pair.acknowledge = False
    pair.exchange()
    stream_id = pair.open(bytes(65_000))
    pair.exchange()
    assert not pair.session.admits(1_000)
    pair.server.acknowledge_received_data(65_000, stream_id)
    pair.exchange()
    assert pair.session.admits(1_000)


def test_a_cancelled_stream_is_reset_and_its_late_answer_ignored() -> None:
    """The answer to a stream that was given up ends nothing, and the connection goes on."""
    pair = Pair()
    pair.exchange()
    given_up, kept = pair.open(), pair.open()
    pair.exchange()
    pair.answer(given_up, 200, b"late")
    late = pair.server.data_to_send()
    pair.session.cancel(given_up)
    assert pair.session.feed(late) == []
    pair.exchange()
    pair.answer(kept)
    assert [ended.stream_id for ended in pair.exchange()] == [kept]


@pytest.mark.parametrize(
    "bad",
    [
        frames.frame(FrameType.PUSH_PROMISE, 4, 1, bytes(4)),
        frames.frame(FrameType.HEADERS, 4, 2, b"\x88"),
        frames.frame(FrameType.HEADERS, 4, 99, b"\x88"),
        frames.frame(FrameType.CONTINUATION, 4, 1, b"\x88"),
        frames.frame(FrameType.HEADERS, 0, 1, b"\x88") + frames.frame(FrameType.PING, 0, 0, bytes(8)),
        frames.frame(FrameType.HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\x0f"),
        frames.frame(FrameType.SETTINGS, 0, 0, bytes(5)),
        frames.frame(FrameType.WINDOW_UPDATE, 0, 0, bytes(4)),
        frames.frame(FrameType.GOAWAY, 0, 0, bytes(3)),
        b"\xff\xff\xff" + bytes(6),
    ],
)
def test_a_server_that_breaks_the_protocol_is_told_and_left(bad: bytes) -> None:
    """The session raises, has a GOAWAY ready, and leaves the open stream in doubt."""
    pair = Pair()
    pair.exchange()
    stream_id = pair.open()
    pair.exchange()
    with pytest.raises(ProtocolError):
        pair.session.feed(bad)
    assert FrameType.GOAWAY in [item.type for item in FrameReader().feed(pair.session.take_output())]
    assert [ended.stream_id for ended in pair.session.lose("protocol error")] == [stream_id]


def test_unknown_frames_are_ignored() -> None:
    """RFC 9113 section 4.1: a frame of a type that we do not know changes nothing."""
    pair = Pair()
    pair.exchange()
    assert pair.session.feed(frames.frame(0xBE, 0xFF, 7, b"anything")) == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=50)), max_size=8), st.data())
def test_frames_are_the_same_however_their_bytes_are_cut(
    items: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    """Any cutting of the bytes gives the same frames."""
    whole = b"".join(frames.frame(kind, flags, 5, payload) for kind, flags, payload in items)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    reader = FrameReader()
    read = [
        item
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)
        for item in reader.feed(whole[start:end])
    ]
    assert [(item.type, item.flags, item.payload) for item in read] == items


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            TEXT.map(lambda text: "/" + text),
            st.lists(st.tuples(NAMES, TEXT), max_size=3).map(tuple),
            st.lists(st.tuples(NAMES, TEXT), max_size=3).map(tuple),
        ),
        max_size=12,
    ),
    st.integers(0, 8_192),
)
def test_headers_decode_to_what_was_encoded_over_a_whole_connection(
    requests: list[tuple[str, Fields, Fields]], table_size: int
) -> None:
    """Cached blocks never go stale: an independent decoder reads every block of a sequence, twice."""
    encoder, decoder = HeaderEncoder(), Decoder()
    encoder.set_table_bytes_max(table_size)
    pseudo = ((":method", "POST"), (":scheme", "https"), (":authority", "push.example"))
    for path, staying, differing in [*requests, *requests]:
        fields = decoder.decode(encoder.encode(pseudo, path, staying, differing))
        assert texts(fields) == [*pseudo, (":path", path), *staying, *differing]


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(NAMES, TEXT), min_size=1, max_size=3), max_size=12))
def test_answers_decode_to_what_the_server_said_over_a_whole_connection(answers: list[list[tuple[str, str]]]) -> None:
    """The decoder's cache never goes stale while the server's table moves."""
    encoder, decoder = Encoder(), HeaderDecoder()
    for fields in [*answers, *answers]:
        assert [tuple(field) for field in decoder.decode(encoder.encode(fields))] == fields


def test_headers_that_repeat_become_index_bytes() -> None:
    """From the third request on, what stays costs one byte a field."""
    encoder = HeaderEncoder()
    staying = (("authorization", "bearer " + "x" * 300), ("apns-topic", "com.example"))
    blocks = [encoder.encode(((":method", "POST"),), "/", staying, ()) for _ in range(3)]
    assert len(blocks[0]) > 200
    assert len(blocks[2]) == 1 + 3 + 2
    assert is_index_only(blocks[2][-2:])


def test_text_that_is_no_header_moves_no_table() -> None:
    """A value outside Latin-1 raises, and the next request is still read correctly."""
    encoder, decoder = HeaderEncoder(), Decoder()
    staying = (("a", "b"),)
    with pytest.raises(ValueError, match="codec"):
        encoder.encode((), "/", staying, (("c", "\u2603"),))
    assert texts(decoder.decode(encoder.encode((), "/", staying, ()))) == [
        (":path", "/"),
        ("a", "b"),
    ]
