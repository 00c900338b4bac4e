"""Which notifications a body of `POST /notifications` and its header name."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from streams.web.bodies import RefusedError
from streams.web.contract.notifications import OneOrBatch
from streams.web.notifications_view import identified

GIVEN = {"user_id": "u", "type": "t"}


def read(document: Any, key: str | None = None) -> tuple[list[str], bool]:
    """The ids, and whether it is a batch."""
    events, is_batch = identified(TypeAdapter(OneOrBatch).validate_python(document), key)
    return [notification_id for notification_id, _ in events], is_batch


def test_one_or_a_batch() -> None:
    """An object is one; an array is a batch, also of one."""
    assert read({**GIVEN, "notification_id": "a"}) == (["a"], False)
    assert read([{**GIVEN, "notification_id": "a"}]) == (["a"], True)


def test_the_header_is_the_id() -> None:
    """Where the body has none, or the same."""
    assert read(GIVEN, "a") == (["a"], False)
    assert read({**GIVEN, "notification_id": "a"}, "a") == (["a"], False)


@pytest.mark.parametrize(
    ("document", "key", "words"),
    [
        (GIVEN, None, r"notification_id: must be given \(or the header Idempotency-Key\)"),
        ({**GIVEN, "notification_id": "a"}, "b", "must be that of Idempotency-Key"),
        ([{**GIVEN, "notification_id": "a"}], "a", "is for one notification"),
    ],
)
def test_header_and_body_must_agree(document: Any, key: str | None, words: str) -> None:
    """Without an id, what is sent again would be another one."""
    with pytest.raises(RefusedError, match=words):
        read(document, key)
