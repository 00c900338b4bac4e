"""What `POST /notifications` takes, and what it refuses with which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.web.bodies import RefusedError
from streams.web.notifications_view import BATCH_MAX, read_notifications


def read(document: Any, key: str | None = None) -> tuple[list[dict[str, Any]], bool]:
    return read_notifications(json.dumps(document).encode(), key)


def test_one_or_a_batch() -> None:
    """An object is one; an array is a batch, also of one."""
    assert read({"notification_id": "a"}) == ([{"notification_id": "a"}], False)
    assert read([{"notification_id": "a"}]) == ([{"notification_id": "a"}], True)


def test_the_header_is_the_id() -> None:
    """Where the body has none, or the same."""
    assert read({}, "a") == ([{"notification_id": "a"}], False)
    assert read({"notification_id": "a"}, "a") == ([{"notification_id": "a"}], False)


@pytest.mark.parametrize(
    ("document", "key", "status", "words"),
    [
        ({}, None, 400, "notification_id: must be given (or the header Idempotency-Key)"),
        ([{"notification_id": "a"}, {}], None, 400, "[1] notification_id: must be given"),
        ({"notification_id": "a"}, "b", 400, "must be that of Idempotency-Key"),
        ([{"notification_id": "a"}], "a", 400, "is for one notification"),
        ([], None, 400, "a batch has 1 to"),
        ([{}] * (BATCH_MAX + 1), None, 413, "a batch has 1 to"),
        (["a"], None, 400, "must be a JSON object"),
        ("a", None, 400, "must be a JSON object"),
    ],
)
def test_what_is_refused_is_named(document: Any, key: str | None, status: int, words: str) -> None:
    """Nothing of a batch is taken when one of it can't be."""
    with pytest.raises(RefusedError, match=r".") as refused:
        read(document, key)
    assert refused.value.status == status
    assert words in str(refused.value)


def test_what_is_no_json_is_refused() -> None:
    """Also when it is JSON without an end."""
    for body in (b"", b"{", b"[" * 100_000, b"\xff"):
        with pytest.raises(RefusedError, match="not JSON"):
            read_notifications(body, None)
