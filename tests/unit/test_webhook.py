"""The webhook connector without IO: secrets, signatures, payload, answers, and how little code that takes."""

from __future__ import annotations

import ast
import base64
import io
import json
import re
import tokenize
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.credentials import CredentialsError
from connectors.http import Answer
from connectors.http.endpoint import Endpoint
from connectors.outcome import Accepted, Device, NotSent, Outcome, ProviderName, Push, Unknown
from connectors.webhook.credentials import load_secrets, sign
from connectors.webhook.request import PAYLOAD_BYTES_MAX, build_request, payload
from connectors.webhook.response import outcome_of_answer

ROOT = Path(__file__).parents[2]
NOW = 1_700_000_000.5
NOW_MS = 1_700_000_000_500
# From the specification's own libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
PUSH = Push(
    push_id="123e4567-e89b-42d3-a456-426614174000",
    notification_id="n-1",
    type="order_ready",
    device=Device("d", ProviderName.WEBHOOK, "https://hook.example/in?x=1"),
    title="Ready ☃",
    body="B",
    data={"k": "v"},
    ttl_seconds=3_600,
    collapse_id="c" * 32,
)


def write(tmp_path: Path, text: str) -> str:
    file = tmp_path / "secrets"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_the_signature_is_the_one_of_the_specifications_own_libraries(tmp_path: Path) -> None:
    """Id, timestamp and body, signed with what the secret says in base64."""
    secrets = load_secrets(write(tmp_path, SECRET))
    assert sign(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}') == (
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", SIGNATURE),
    )


def test_image_and_link_are_there_where_there_are_any() -> None:
    """Beside what is shown, under their names."""
    assert not {"image", "link"} & json.loads(payload(PUSH))["data"].keys()
    data = json.loads(payload(replace(PUSH, image="https://i.example/a.png", link="shop://7")))["data"]
    assert (data["image"], data["link"]) == ("https://i.example/a.png", "shop://7")


def test_while_a_secret_is_changed_there_is_a_signature_of_each(tmp_path: Path) -> None:
    """In the order of the file, with spaces between; blank lines do not count."""
    other = "whsec_" + base64.b64encode(bytes(64)).decode()
    secrets = load_secrets(write(tmp_path, f"\n{SECRET}\n\n{other}\n"))
    signature = dict(sign(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'))[
        "webhook-signature"
    ]
    first, second = signature.split(" ")
    assert first == SIGNATURE
    assert re.fullmatch(r"v1,[A-Za-z0-9+/]{43}=", second)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        SECRET.removeprefix("whsec_"),
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
        "whsk_" + base64.b64encode(bytes(32)).decode(),
        f"{SECRET} # the old one",
        "whsec_☃",
    ],
)
def test_a_file_without_usable_secrets_says_what_belongs_in_it(tmp_path: Path, text: str) -> None:
    """And shows nothing of what is in it."""
    path = write(tmp_path, text)
    with pytest.raises(CredentialsError) as caught:
        load_secrets(path)
    assert str(caught.value) == (
        f"Webhook secret_file: {path!r} must hold lines of whsec_ and 24 to 64 bytes in base64."
    )


def test_the_request_goes_to_the_endpoint_with_all_that_the_receiver_needs() -> None:
    """`type` and `data`, as the specification recommends it."""
    request = build_request(PUSH, NOW)
    assert not isinstance(request, NotSent)
    endpoint, body = request
    assert endpoint == Endpoint("https://hook.example", "hook.example", 443, "/in?x=1")
    assert json.loads(body) == {
        "type": "order_ready",
        "data": {
            "notification_id": "n-1",
            "push_id": PUSH.push_id,
            "device_id": "d",
            "title": "Ready ☃",
            "body": "B",
            "urgent": True,
            "data": {"k": "v"},
            "collapse_id": "c" * 32,
            "ttl_seconds": 3_600,
        },
    }
    assert build_request(PUSH, NOW + 60) == request, "each attempt says the same"


def test_what_cannot_be_sent_is_not_sent() -> None:
    """A payload over the limit, an address that is no endpoint, half a character."""
    room = PAYLOAD_BYTES_MAX - len(payload(PUSH))
    assert not isinstance(build_request(replace(PUSH, body="B" + "x" * room), NOW), NotSent)
    assert build_request(replace(PUSH, body="Bx" + "x" * room), NOW) == NotSent("payload_too_large", retry=False)
    plain = replace(PUSH, device=replace(PUSH.device, address="http://hook.example/"))
    assert build_request(plain, NOW) == NotSent("invalid_address", retry=False, gone_at_ms=NOW_MS)
    assert b"?" in payload(replace(PUSH, title="\ud800"))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200, {}, b"thanks"), Accepted(200)),
        (Answer(204, {}, b""), Accepted(204)),
        (Answer(301, {}, b""), NotSent("http_301", retry=False, status=301)),
        (Answer(302, {}, b""), Unknown("http_302", 302)),
        (Answer(303, {}, b""), Unknown("http_303", 303)),
        (Answer(308, {}, b""), NotSent("http_308", retry=False, status=308)),
        (Answer(400, {}, b""), NotSent("bad_request", retry=False, status=400)),
        (Answer(401, {}, b""), NotSent("unauthorized", retry=False, status=401)),
        (Answer(404, {}, b""), NotSent("not_found", retry=True, status=404)),
        (Answer(408, {}, b""), NotSent("request_timeout", retry=True, status=408)),
        (Answer(409, {}, b""), Unknown("http_409", 409)),
        (Answer(410, {}, b""), NotSent("gone", retry=False, status=410, gone_at_ms=NOW_MS)),
        (Answer(413, {}, b""), NotSent("payload_too_large", retry=False, status=413)),
        (Answer(425, {}, b""), NotSent("too_early", retry=True, status=425)),
        (
            Answer(429, {"retry-after": "30"}, b""),
            NotSent("too_many_requests", retry=True, status=429, retry_after_seconds=30.0),
        ),
        (Answer(418, {}, b""), NotSent("http_418", retry=False, status=418)),
        (Answer(500, {}, b""), Unknown("http_500", 500)),
        (Answer(502, {}, b""), Unknown("http_502", 502)),
        (Answer(503, {"retry-after": "5"}, b""), Unknown("http_503", 503, 5.0)),
        (Answer(504, {}, b""), Unknown("http_504", 504)),
    ],
)
def test_each_answer_becomes_its_outcome(answer: Answer, expected: Outcome) -> None:
    """Certain is only what says that the request was not taken."""
    assert outcome_of_answer(answer, NOW) == expected


def code_lines(source: str) -> int:
    """Lines that hold code: no blank ones, comments or docstrings."""
    words: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                words.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in empty:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - words)


def test_lines_of_code_are_counted_right() -> None:
    """Only what is run counts."""
    assert code_lines('"""Words.\n\nMore."""\n\n# why\nx = (\n    1,  # one\n)\n\n\ndef f():\n    """Words."""\n') == 4


def test_the_example_stays_small() -> None:
    """A connector takes less than a hundred lines, as docs/connectors.md says with the number."""
    count = sum(code_lines(file.read_text(encoding="utf-8")) for file in (ROOT / "connectors" / "webhook").glob("*.py"))
    assert count < 100
    assert f"{count} lines of code" in (ROOT / "docs" / "connectors.md").read_text(encoding="utf-8")
