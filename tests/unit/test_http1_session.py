"""The HTTP/1.1 session in memory: what it writes, what it takes for the end of an answer, and what may follow."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.exchange import CONNECTION_LOST, Answer, Failure, Post
from connectors.http1.session import BODY_BYTES_MAX, HEAD_BYTES_MAX, Session

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n"
    b"3;name=value\r\nabc\r\n2\r\nde\r\n0\r\nx-trailer: t\r\n\r\n"
)


def opened() -> Session:
    """A session whose request is on its way."""
    session = Session("hook.example:8443")
    session.open(Post("/path", (), (), b"body"))
    return session


def test_a_request_is_written_whole() -> None:
    """Request line, Host, both groups of headers, Content-Length and the body, in one piece."""
    written = Session("hook.example:8443").open(Post("/a?b=c", (("x-a", "1"),), (("x-b", "é"),), b"body"))
    assert written == (
        b"POST /a?b=c HTTP/1.1\r\nhost: hook.example:8443\r\nx-a: 1\r\nx-b: \xe9\r\ncontent-length: 4\r\n\r\nbody"
    )


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/a b", "x-a", "1"),
        ("/a\r\nx-b: 2", "x-a", "1"),
        ("/ä", "x-a", "1"),
        ("/", "x a", "1"),
        ("/", "x-a", "1\r\nx-b: 2"),
        ("/", "x-a", "☃"),
        ("/", "content-length", "9"),
    ],
)
def test_what_does_not_belong_in_a_request_is_refused_and_nothing_is_open(path: str, name: str, value: str) -> None:
    """Nothing can be smuggled into a request, and the connection takes the next one."""
    session = Session("hook.example")
    with pytest.raises(ValueError):
        session.open(Post(path, ((name, value),), (), b""))
    assert not session.busy
    assert session.open(Post("/", (), (), b"")).endswith(b"content-length: 0\r\n\r\n")
    assert isinstance(session.feed(OK), Answer)


# What the server sends, whether it then closes its side → status, body, and whether another request may follow.
ANSWERS = [
    (OK, False, 200, b"ok", True),
    (CHUNKED, False, 201, b"abcde", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", False, 204, b"", True),
    (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", False, 410, b"", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, False, 200, b"ok", True),
    (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", False, 200, b"ok", False),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", True, 200, b"until the end", False),
    (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", False, 200, b"ok", False),
    (OK + b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", False, 200, b"ok", False),
    (b"HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\ncut", True, 503, b"cut", False),
    (b"HTTP/1.1 429 No\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", False, 429, b"", False),
]


@pytest.mark.parametrize(("sent", "ends", "status", "body", "goes_on"), ANSWERS)
def test_each_form_of_an_answer_is_read(sent: bytes, ends: bool, status: int, body: bytes, goes_on: bool) -> None:
    """Length, chunks, the end of the connection; a status that has come counts whatever becomes of the body."""
    session = opened()
    result = session.feed(sent)
    if ends:
        assert result is None
        result = session.feed(b"")
    assert isinstance(result, Answer)
    assert (result.status, result.body) == (status, body)
    assert not session.busy
    assert session.closing is not goes_on


@given(answer=st.sampled_from([OK, CHUNKED, ANSWERS[4][0]]), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(answer: bytes, cuts: list[int]) -> None:
    """The pieces of TCP mean nothing, and only the last one ends the request."""
    whole, session = opened().feed(answer), opened()
    places = sorted({min(cut, len(answer)) for cut in cuts} | {0, len(answer)})
    pieces = [answer[start:end] for start, end in itertools.pairwise(places)]
    assert [session.feed(piece) for piece in pieces] == [None] * (len(pieces) - 1) + [whole]
    assert not session.closing


def test_headers_that_come_twice_are_joined() -> None:
    """As RFC 9110 section 5.3 says; names are in lower case."""
    answer = opened().feed(CHUNKED)
    assert isinstance(answer, Answer)
    assert answer.headers == {"transfer-encoding": "chunked", "x-a": "1, 2"}


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * HEAD_BYTES_MAX,
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        b"\x16\x03\x01",
        b"",
    ],
)
def test_what_is_no_answer_leaves_the_request_in_doubt(sent: bytes) -> None:
    """It may have arrived, and the connection is of no more use."""
    session = opened()
    result = session.feed(sent)
    if result is None:
        result = session.feed(b"")
    assert isinstance(result, Failure)
    assert (result.may_have_arrived, result.reason) == (True, CONNECTION_LOST)
    assert result.detail
    assert session.closing


def test_a_lost_connection_leaves_the_open_request_in_doubt() -> None:
    """Only what is open ends, and once."""
    session = opened()
    assert session.lose("cut") == Failure(True, CONNECTION_LOST, "cut")
    assert session.lose("cut") is None
    assert Session("hook.example").lose("cut") is None


def test_a_body_without_end_is_cut() -> None:
    """No more than BODY_BYTES_MAX and one read is kept, and the rest is not waited for."""
    session = opened()
    assert session.feed(b"HTTP/1.1 200 OK\r\n\r\n") is None
    size = 0
    while session.busy:
        result = session.feed(bytes(10_000))
        size += 10_000
        assert size < BODY_BYTES_MAX + 20_000
    assert isinstance(result, Answer)
    assert BODY_BYTES_MAX < len(result.body) <= size
    assert session.closing


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"x"])
def test_what_comes_while_nothing_was_asked_answers_nothing(sent: bytes) -> None:
    """A close of the idle connection is a normal event; an answer before its request must not be taken for the next."""
    session = opened()
    assert isinstance(session.feed(OK), Answer)
    assert session.feed(sent) is None
    assert session.closing


def test_the_server_says_how_long_it_keeps_the_connection() -> None:
    """Keep-Alive: timeout=n, wherever it stands in the header."""
    session = opened()
    session.feed(b"HTTP/1.1 200 OK\r\nKeep-Alive: max=100, timeout=15\r\ncontent-length: 0\r\n\r\n")
    assert session.keep_alive_seconds == 15
    session.open(Post("/", (), (), b""))
    session.feed(OK)
    assert session.keep_alive_seconds == 15, "once said is enough"
