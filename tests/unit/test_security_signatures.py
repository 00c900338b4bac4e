"""Sessions and forwarded requests: good for what was signed, as long as it was meant to be, and for nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.web.security.callers import Caller
from streams.web.security.cluster_secret import purpose_key
from streams.web.security.forwarding import (
    VALID_MS,
    Forwarded,
    SignatureError,
    read_forwarded,
    sign_forwarded,
)
from streams.web.security.sessions import Session, SessionRule, csrf_token, read_session, session_token

NOW = 1_700_000_000_000
SECRET = b"a secret that all workers share"
KEY = purpose_key(SECRET, "sessions")
RULE = SessionRule(idle_ms=60_000, whole_ms=600_000)
SESSION = Session("s-1", "0123456789ab", "mark", NOW, NOW)
TOKEN = session_token(SESSION, KEY)


def test_a_session_is_read_by_whoever_has_the_secret() -> None:
    """And by nobody else; nor is what was signed for something else a session."""
    assert read_session(TOKEN, KEY) == SESSION
    assert read_session(TOKEN, purpose_key(b"another secret", "sessions")) is None
    assert read_session(TOKEN, purpose_key(SECRET, "forwarding")) is None


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_a_changed_session_is_none(at: int, character: str) -> None:
    """Wherever it is changed."""
    changed = TOKEN[:at] + character + TOKEN[at + 1 :]
    if changed != TOKEN:
        assert read_session(changed, KEY) is None


@given(st.text(max_size=2000))
def test_any_text_is_no_session(text: str) -> None:
    """Whatever a cookie holds."""
    assert read_session(text, KEY) is None


def test_a_session_ends() -> None:
    """begun      used            idle over
    |----------|----60 s----|          and, whatever is done in it, after 600 s
    """
    assert not SESSION.is_over(NOW + 59_999, RULE)
    assert SESSION.is_over(NOW + 60_000, RULE)
    used = replace(SESSION, used_at=NOW + 599_000)
    assert not used.is_over(NOW + 599_999, RULE)
    assert used.is_over(NOW + 600_000, RULE)
    assert replace(SESSION, begun_at=NOW + 1).is_over(NOW, RULE)
    assert replace(SESSION, begun_at=NOW + 60_001, used_at=NOW + 60_001).is_over(NOW, RULE)


def test_a_session_is_renewed_now_and_then() -> None:
    """Not with every request; it stays the same session, and as old as it is."""
    assert SESSION.renewed(NOW + 5_999, RULE) is None
    renewed = SESSION.renewed(NOW + 6_000, RULE)
    assert renewed == replace(SESSION, used_at=NOW + 6_000)


def test_a_csrf_token_is_of_one_session() -> None:
    """And no part of its cookie."""
    token = csrf_token("s-1", KEY)
    assert token != csrf_token("s-2", KEY)
    assert token != csrf_token("s-1", purpose_key(SECRET, "forwarding"))
    assert token not in TOKEN


SIGNING_KEY = purpose_key(SECRET, "forwarding")
ASKED = Forwarded("GET", "/slots/a%2Eb/t?x=1", "http://worker-2:6066")
CALLER = Caller("key", frozenset(("read",)), "0123456789ab", "ops")
HEADER = sign_forwarded(ASKED, CALLER, NOW, SIGNING_KEY)


def test_the_second_worker_learns_for_whom_it_is_asked() -> None:
    """Name, id and scopes of the caller; the URL with or without its last slash."""
    found = read_forwarded(HEADER, replace(ASKED, to="http://worker-2:6066/"), NOW + 100, 0, SIGNING_KEY)
    assert found == Caller("worker", CALLER.scopes, CALLER.key_id, CALLER.name)


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, method="HEAD"),
        replace(ASKED, target="/slots/a%2Eb/t"),
        replace(ASKED, target="/slots/a%2Eb/t?x=2"),
        replace(ASKED, target="/slots/a.b/t?x=1"),
        replace(ASKED, to="http://worker-3:6066"),
        replace(ASKED, body=b"x"),
    ],
)
def test_a_signature_is_for_one_request_to_one_worker(other: Forwarded) -> None:
    """Anything else that it is put on is refused."""
    with pytest.raises(SignatureError, match="RINGONCE_CLUSTER_SECRET"):
        read_forwarded(HEADER, other, NOW, 0, SIGNING_KEY)


@given(st.integers(0, len(HEADER) - 1), st.characters())
def test_a_changed_header_is_refused(at: int, character: str) -> None:
    """Whoever it names, whatever scopes and time."""
    changed = HEADER[:at] + character + HEADER[at + 1 :]
    if changed != HEADER:
        with pytest.raises(SignatureError):
            read_forwarded(changed, ASKED, NOW, 0, SIGNING_KEY)


@given(st.text(max_size=3000))
def test_any_header_is_refused(text: str) -> None:
    """Without an error of another kind."""
    with pytest.raises(SignatureError):
        read_forwarded(text, ASKED, NOW, 0, SIGNING_KEY)


def test_a_signature_is_good_for_some_seconds_and_the_skew() -> None:
    """To both sides: the other worker's clock may be ahead or behind."""
    skew = 5_000
    for now in (NOW + VALID_MS + skew, NOW - VALID_MS - skew):
        read_forwarded(HEADER, ASKED, now, skew, SIGNING_KEY)
    for now in (NOW + VALID_MS + skew + 1, NOW - VALID_MS - skew - 1):
        with pytest.raises(SignatureError, match="away from this worker's time"):
            read_forwarded(HEADER, ASKED, now, skew, SIGNING_KEY)


def test_only_reads_are_forwarded() -> None:
    """A request that changes something could be sent again within that time."""
    post = replace(ASKED, method="POST")
    with pytest.raises(SignatureError, match="only reads"):
        read_forwarded(sign_forwarded(post, CALLER, NOW, SIGNING_KEY), post, NOW, 0, SIGNING_KEY)
