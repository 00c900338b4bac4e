"""Answer → outcome for Web Push."""

from __future__ import annotations

import pytest

from connectors.http import Answer
from connectors.outcome import Accepted, NotSent, Outcome, Unknown
from connectors.webpush.response import outcome_of_answer

NOW = 1_700_000_000.0
NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(201, {"location": "https://p/m/1"}, b""), Accepted(201, "https://p/m/1")),
        (Answer(200, {}, b""), Accepted(200)),
        (Answer(202, {}, b""), Accepted(202)),
        (Answer(404, {}, b""), NotSent("not_found", retry=False, status=404, gone_at_ms=NOW_MS)),
        (Answer(410, {}, b""), NotSent("gone", retry=False, status=410, gone_at_ms=NOW_MS)),
        (Answer(400, {}, b""), NotSent("bad_request", retry=False, status=400)),
        (Answer(401, {}, b""), NotSent("unauthorized", retry=False, status=401)),
        (Answer(403, {}, b""), NotSent("forbidden", retry=False, status=403)),
        (Answer(413, {}, b""), NotSent("payload_too_large", retry=False, status=413)),
        (
            Answer(429, {"retry-after": "30"}, b""),
            NotSent("too_many_requests", retry=True, status=429, retry_after_seconds=30.0),
        ),
        (
            Answer(429, {"retry-after": "Tue, 14 Nov 2023 22:14:20 GMT"}, b""),
            NotSent("too_many_requests", retry=True, status=429, retry_after_seconds=60.0),
        ),
        (Answer(429, {"retry-after": "soon"}, b""), NotSent("too_many_requests", retry=True, status=429)),
        (Answer(307, {"location": "https://elsewhere"}, b""), NotSent("http_307", retry=False, status=307)),
        (Answer(418, {}, b""), NotSent("http_418", retry=False, status=418)),
        (Answer(500, {}, b""), Unknown("http_500", 500)),
        (Answer(503, {"retry-after": "5"}, b""), Unknown("http_503", 503, 5.0)),
    ],
)
def test_each_answer_becomes_its_outcome(answer: Answer, expected: Outcome) -> None:
    """2xx is accepted, 404 and 410 are gone, other 3xx and 4xx refused, 5xx unknown."""
    assert outcome_of_answer(answer, NOW) == expected
