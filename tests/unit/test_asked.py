"""What a request may say, checked by its operation over real HTTP: all that is wrong is told at once, by its name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.publish.intake import BusyError
from streams.web.asked import Asked, accepts
from streams.web.bodies import RefusedError, read_json
from streams.web.contract.notifications import BATCH_MAX
from streams.web.faults import FAULTS_MAX, FaultyError
from streams.web.problem_kinds import KINDS, URN
from streams.web.problems import problem, problems
from streams.web.routes import Routes

ONE = {"notification_id": "a", "user_id": "u", "type": "t"}
Asking = Callable[..., Coroutine[Any, Any, tuple[int, dict[str, str], Any]]]


def over_http(scenario: Callable[[Asking], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario against the checks of some operations; the views say what they were asked."""

    async def view(asked: Asked) -> web.Response:
        if asked.request.headers.get("X-Busy"):
            raise BusyError("7 wait")
        query = None if asked.query is None else asked.query.model_dump()
        return web.json_response({"path": dict(asked.path), "query": query, "key": asked.key})

    async def main() -> None:
        application = web.Application(middlewares=[problems])
        routes = Routes(application.router, "ours")
        for each in ("postNotifications", "putDevice", "deleteProfile", "schedule", "slot", "cancel", "end_session"):
            routes.add(each, view)
        server = TestServer(application)
        await server.start_server(auto_decompress=False)
        async with server, httpx.AsyncClient(base_url=str(server.make_url("/"))) as client:

            async def ask(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], Any]:
                content = json.dumps(body).encode() if isinstance(body, dict | list) else body
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                given = {"Content-Type": "application/json", **named} if content is not None else named
                given = {name: value for name, value in given.items() if value}
                answer = await client.request(method, path, content=content, headers=given)
                return answer.status_code, dict(answer.headers), answer.json() if answer.content else None

            await scenario(ask)

    asyncio.run(asyncio.wait_for(main(), 30))


def fields_of(document: Any) -> dict[str, str]:
    """What is wrong, by field."""
    return {each["field"]: each["message"] for each in document["errors"]}


def test_all_that_is_wrong_is_told_at_once() -> None:
    """With a pointer to it, and with the name that may be meant."""

    async def scenario(ask: Asking) -> None:
        wrong = {"notification_id": "", "usr_id": "u", "type": "t t", "data": {"n": 7}}
        status, headers, said = await ask("POST", "/notifications", wrong)
        assert (status, headers["content-type"]) == (400, "application/problem+json")
        assert (said["type"], said["title"]) == (f"{URN}invalid", KINDS["invalid"].title)
        found = fields_of(said)
        assert found["/user_id"] == "must be given"
        assert found["/usr_id"] == "no such field; is user_id meant?"
        assert "has 0 bytes" in found["/notification_id"]
        assert found["/data/n"] == "must be a text, is 7"
        assert set(found) == {"/user_id", "/usr_id", "/notification_id", "/type", "/data/n"}
        status, _, said = await ask("POST", "/notifications", [ONE, {**ONE, "send_at": "tomorrow"}, {}])
        assert {"/1/send_at", "/2/user_id", "/2/type", "/2/notification_id"} == set(fields_of(said))
        assert "[1] send_at: must be ISO 8601" in said["detail"]

    over_http(scenario)


def test_an_answer_is_small_whatever_was_asked() -> None:
    """Of a thousand mistakes some are told, and how many more there are."""

    async def scenario(ask: Asking) -> None:
        status, _, said = await ask("POST", "/notifications", [{}] * BATCH_MAX)
        assert status == 400
        assert len(said["errors"]) == FAULTS_MAX + 1
        assert said["errors"][-1]["message"] == f"and {3 * BATCH_MAX - FAULTS_MAX:} more that are wrong"
        status, _, said = await ask("POST", "/notifications", [ONE] * (BATCH_MAX + 1))
        assert (status, said["type"]) == (413, f"{URN}too-large")

    over_http(scenario)


@pytest.mark.parametrize(
    ("path", "field", "words"),
    [
        ("/schedule?limit=0", "limit", "at least 1"),
        ("/schedule?limit=1_0", "limit", "whole number"),
        ("/schedule?limit=" + "9" * 5_000, "limit", "whole number"),
        ("/schedule?lmit=5", "lmit", "is limit meant?"),
        ("/schedule?from=tomorrow", "from", "ISO 8601"),
        ("/schedule?limit=1&limit=2", "limit", "given twice"),
        ("/schedule?type=%20", "type", "must be 1 to 64"),
        ("/slots/u/t?x=1", "x", "there is none"),
        ("/slots/%FF/t", "user_id", "not UTF-8"),
        ("/slots/%25FF/t%00", "type", "must be 1 to 64"),
        ("/slots/" + "u" * 257 + "/t", "user_id", "has 257 bytes"),
    ],
)
def test_a_wrong_parameter_is_named(path: str, field: str, words: str) -> None:
    """That of a path or of a query."""

    async def scenario(ask: Asking) -> None:
        status, _, said = await ask("GET", path)
        assert status == 400
        assert words in fields_of(said)[field]

    over_http(scenario)


def test_what_is_right_comes_through_byte_for_byte() -> None:
    """Names with anything in them, and texts for instants."""

    async def scenario(ask: Asking) -> None:
        assert (await ask("GET", "/slots/a%2Fb%25FF/t"))[2]["path"] == {"user_id": "a/b%FF", "type": "t"}
        _, _, said = await ask("GET", "/schedule?from=1970-01-01T00:00:01Z&limit=7")
        assert said["query"] == {"since": 1_000, "until": None, "limit": 7, "type": None}
        assert (await ask("POST", "/notifications", ONE, Idempotency_Key="a"))[2]["key"] == "a"
        assert (await ask("POST", "/notifications", ONE, Idempotency_Key=r'"a\"b"'))[2]["key"] == 'a"b'
        status, _, said = await ask("POST", "/notifications", ONE, Idempotency_Key="x" * 129)
        assert (status, set(fields_of(said))) == (400, {"Idempotency-Key"})

    over_http(scenario)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "application/json; charset=utf-8"}, 200),
        ({"Content_Type": ""}, 200),
        ({"Content_Type": "application/vnd.x+json"}, 200),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "application/json; charset=utf-16"}, 415),
        ({"Content_Encoding": "br"}, 415),
        ({"Accept": "application/*"}, 200),
        ({"Accept": "text/html, */*;q=0.1"}, 200),
        ({"Accept": "text/html"}, 406),
        ({"Accept": "application/json;q=0"}, 406),
        ({"Accept": ",;"}, 406),
        ({"X_Busy": "1"}, 429),
    ],
)
def test_types_are_agreed_on(headers: dict[str, str], status: int) -> None:
    """Of what comes and of what goes."""

    async def scenario(ask: Asking) -> None:
        found, answered, said = await ask("POST", "/notifications", ONE, **headers)
        assert found == status, said
        assert ("retry-after" in answered) == (status == 429)
        assert answered["ringonce-system"] == "ours"

    over_http(scenario)


def test_where_an_answer_has_no_content_any_type_is_accepted() -> None:
    """Many clients ask for JSON whatever they ask; a session must end for them, too."""

    async def scenario(ask: Asking) -> None:
        for accept in ("application/json", "text/html", ",;"):
            assert (await ask("DELETE", "/session", Accept=accept))[0] == 200

    over_http(scenario)


def test_a_body_where_none_belongs_and_none_where_one_does() -> None:
    """The first is refused, the second too unless all that it says has a default."""

    async def scenario(ask: Asking) -> None:
        assert (await ask("DELETE", "/users/u/profile"))[0] == 200
        assert (await ask("DELETE", "/users/u/profile", {}))[0] == 413
        assert (await ask("POST", "/schedule/u/t/n/cancel"))[0] == 200
        status, _, said = await ask("POST", "/notifications")
        assert (status, said["type"]) == (400, f"{URN}not-json")

    over_http(scenario)


def test_other_methods_and_paths() -> None:
    """The answer names what there is; OPTIONS asks for just that."""

    async def scenario(ask: Asking) -> None:
        status, headers, said = await ask("PATCH", "/slots/u/t")
        assert (status, headers["allow"], said["type"]) == (405, "GET, HEAD, OPTIONS", f"{URN}method")
        status, headers, said = await ask("OPTIONS", "/users/u/devices/d")
        assert (status, headers["allow"], said) == (204, "OPTIONS, PUT", None)
        assert (await ask("HEAD", "/slots/u/t"))[::2] == (200, None)
        assert (await ask("GET", "/nothing"))[2]["type"] == f"{URN}no-such-path"

    over_http(scenario)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[" * 100_000, "not JSON"),
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"{", "not JSON"),
        ("{}".encode("utf-16"), "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "not JSON"),
    ],
)
def test_what_is_no_json_is_refused(body: bytes, words: str) -> None:
    """Also what Python alone would take for it."""
    with pytest.raises(RefusedError, match=words):
        read_json(body)


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b'{"a": ["x", "\\ud800"]}', "/a/1", "half a surrogate pair"),
        (b'{"a": "\\uDC00"}', "/a", "half a surrogate pair"),
        (b'{"\\udc00": 1}', "/\\udc00", "half a surrogate pair"),
        (b'{"a": 1, "b": 2, "a": 3}', "a", "is there twice"),
        (b'[{"a": {"b": 1, "b": 1}}]', "b", "is there twice"),
    ],
)
def test_what_two_readers_would_read_differently_is_refused(body: bytes, field: str, words: str) -> None:
    """A name twice, and text that is none."""
    with pytest.raises(FaultyError, match=words) as refused:
        read_json(body)
    assert [each.field for each in refused.value.faults] == [field]


def test_a_whole_pair_is_a_text() -> None:
    """Escaped as JSON does it."""
    assert read_json(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_kinds_have_their_status() -> None:
    """Each kind can be answered, and says what to do."""
    for name, kind in KINDS.items():
        answer = json.loads(problem(kind.status, "x", kind=name).body or b"")  # type: ignore[arg-type] # it is bytes
        assert (answer["type"], answer["title"], answer["status"]) == (URN + name, kind.title, kind.status)
        assert kind.advice


def test_accept_as_it_is_written() -> None:
    """By type, by half of it, with weights."""
    types = {"application/json"}
    assert accepts("text/html;q=0.9, application/json", types)
    assert accepts("APPLICATION/JSON;q=0.1", types)
    assert not accepts("application/json;q=0.00", types)
    assert not accepts("*", types)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_what_is_nested_deeply_is_refused(opening: str, closing: str) -> None:
    """Up to 32 inside each other are taken, not one more; how many stand beside each other does not matter."""

    def nested(depth: int) -> bytes:
        return (opening * depth + ("1" if closing == "}" else "") + closing * depth).encode()

    read_json(nested(32))
    for depth in (33, 900, 100_000):
        with pytest.raises(RefusedError) as caught:
            read_json(nested(depth))
        assert caught.value.status == 400
    read_json(b"[" + b",".join([b'{"a": []}'] * 1_000) + b"]")
