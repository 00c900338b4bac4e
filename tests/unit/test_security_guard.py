"""The guard before the whole front, over HTTP: who gets in, who does not, and what each answer says."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from streams.web.routing import FORWARDED_HEADER, Routing
from streams.web.security.authentication import Authentication
from streams.web.security.callers import ITSELF, Caller
from streams.web.security.cluster_secret import purpose_key
from streams.web.security.forwarding import Forwarded, sign_forwarded
from streams.web.security.headers import FIXED
from streams.web.security.keys import mark_of
from streams.web.security.scopes import ROUTES, SCOPES
from streams.web.security.security import open_security
from streams.web.security.sessions import Session, csrf_token, read_session, session_token
from tests.unit.front_bench import (
    LIMIT_SECONDS,
    SECRET,
    a_key,
    bearer,
    front_app,
    front_settings,
    guarded_settings,
    serve,
)

PUBLIC_WITHOUT_KEY = "/health/live"
READ = "/templates"


def assert_problem(answer: httpx.Response, status: int, *words: str) -> None:
    """It is a problem document of this status whose detail has these words."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    for word in words:
        assert word in document["detail"]


def filled(path: str) -> str:
    """Return a path with something in each of its places."""
    return path.replace("{", "").replace("}", "")


def test_every_route_asks_for_its_scope(tmp_path: Path) -> None:
    """Without a key 401; with every other scope 403 that names the missing one; health is open."""
    keys = {scope: a_key(tmp_path, *(each for each in SCOPES if each != scope))[1] for scope in SCOPES}

    async def scenario(client: httpx.AsyncClient) -> None:
        asked = 0
        for (method, path), rule in ROUTES.items():
            scope = rule.access
            if scope == "public" or scope == "metrics":
                continue
            nobody = await client.request(method, filled(path))
            if nobody.status_code == 404:  # a view that another branch brings
                continue
            assert_problem(nobody, 401, rule.access)
            assert nobody.headers["www-authenticate"].startswith("Bearer realm=")
            wrong = await client.request(method, filled(path), headers=bearer(keys[scope]))
            assert_problem(wrong, 403, f"scope {scope}")
            assert f'scope="{scope}"' in wrong.headers["www-authenticate"]
            asked += 1
        assert asked > 25
        assert (await client.get("/health/live")).status_code == 200

    serve(guarded_settings(tmp_path, {"anonymous_per_second_max": 0}), scenario)


def test_a_key_gets_in_and_nothing_like_it_does(tmp_path: Path) -> None:
    """Another scheme, another secret, an expired one: 401, and which of it is said only to who has the key."""
    key, token = a_key(tmp_path, "read")
    _, expired = a_key(tmp_path, "read", expires_at=1)

    async def scenario(client: httpx.AsyncClient) -> None:
        assert (await client.get(READ, headers=bearer(token))).status_code == 200
        assert (await client.get(READ, headers={"Authorization": f"bearer  {token}"})).status_code == 200
        for header in (
            "",
            "Bearer",
            f"Basic {token}",
            token,
            f"Bearer {token}x",
            f"Bearer ro_{key.id}_x",
            "Bearer \xff",
        ):
            answer = await client.get(READ, headers={b"Authorization": header.encode("latin-1")})
            assert_problem(answer, 401)
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert_problem(await client.get(READ, headers=bearer(expired)), 401, "has expired")
        assert_problem(await client.get(f"{READ}?key={token}"), 401)

    serve(guarded_settings(tmp_path, {"failed_per_minute_max": 0}), scenario)


def test_the_headers_are_on_every_answer(tmp_path: Path) -> None:
    """Successes, refusals and mistakes alike; no version of what answers."""
    _, token = a_key(tmp_path, "read")

    async def scenario(client: httpx.AsyncClient) -> None:
        answers = [
            await client.get(READ, headers=bearer(token)),
            await client.get(READ),
            await client.get("/nowhere"),
            await client.post("/health/live"),
            await client.get("/health/live"),
            await client.head(READ),
            await client.get("/metrics"),
        ]
        assert [answer.status_code for answer in answers] == [200, 401, 404, 405, 200, 401, 200]
        for answer in answers:
            assert {name: answer.headers.get(name) for name in FIXED} == FIXED
            assert answer.headers["cache-control"] == "no-store"
            assert "server" not in answer.headers
            assert answer.headers["ringonce-system"] == "ringonce"
        policy = FIXED["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy

    serve(guarded_settings(tmp_path), scenario)


def test_a_session_of_the_page(tmp_path: Path) -> None:
    """A key for a cookie; who it is; what writes needs the token; and out again."""
    key, token = a_key(tmp_path, "read", "admin", name="Ada")

    async def scenario(client: httpx.AsyncClient) -> None:
        assert_problem(await client.get("/session"), 401)
        begun = await client.post("/session", json={"key": token})
        assert begun.status_code == 200
        document = begun.json()
        assert (document["name"], document["key_id"], document["scopes"]) == ("Ada", key.id, ["read", "admin"])
        cookie = begun.headers["set-cookie"]
        for attribute in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"):
            assert attribute in cookie
        assert token.split("_", 2)[2] not in cookie + begun.text
        assert (await client.get("/session")).json() == document
        assert (await client.get(READ)).status_code == 200
        cancel = "/broadcasts/b/cancel"
        assert_problem(await client.post(cancel), 403, "X-CSRF-Token")
        for wrong in ("", "x", document["csrf_token"] + "x", "\xff"):
            answer = await client.post(cancel, headers={b"X-CSRF-Token": wrong.encode("latin-1")})
            assert_problem(answer, 403, "X-CSRF-Token")
        csrf = {"X-CSRF-Token": document["csrf_token"]}
        assert_problem(await client.post("/notifications", headers=csrf), 403, "scope send")
        assert_problem(await client.delete("/session"), 403, "X-CSRF-Token")
        copied = {"Cookie": cookie.partition(";")[0]}
        assert (await client.get(READ, headers=copied)).status_code == 200
        ended = await client.delete("/session", headers=csrf)
        assert_problem(ended, 503, f"keys revoke {key.id}")  # there is no Kafka here that could tell others
        assert "Max-Age=0" in ended.headers["set-cookie"]
        assert_problem(await client.get(READ), 401)
        assert_problem(await client.get(READ, headers=copied), 401)

    serve(guarded_settings(tmp_path), scenario)


def test_nobody_comes_in_by_a_session_before_it_is_known_which_have_ended(tmp_path: Path) -> None:
    """503, and no word of whether it is a good one; keys are not concerned."""
    _, token = a_key(tmp_path, "read")

    async def scenario(client: httpx.AsyncClient) -> None:
        assert (await client.post("/session", json={"key": token})).status_code == 200
        assert_problem(await client.get(READ), 503, "which sessions have ended")
        client.cookies.clear()
        assert (await client.get(READ, headers=bearer(token))).status_code == 200
        assert_problem(await client.get(READ), 401)

    serve(guarded_settings(tmp_path), scenario, hears=False)


def test_a_session_in_use_goes_on_and_one_that_was_left_does_not(tmp_path: Path) -> None:
    """Its cookie is renewed once a tenth of the idle time has passed; leaving it is not undone by that."""
    key, token = a_key(tmp_path, "read")
    signing = purpose_key(SECRET.encode(), "sessions")
    now = time.time_ns() // 1_000_000

    def cookie(idle_seconds: int) -> dict[str, str]:
        session = Session("s", key.id, mark_of(key), now - 3_600_000, now - idle_seconds * 1000)
        return {"Cookie": f"ringonce-session={session_token(session, signing)}"}

    async def scenario(client: httpx.AsyncClient) -> None:
        async def set_by(method: str, path: str, headers: dict[str, str], **options: Any) -> str:
            answer = await client.request(method, path, headers=headers, **options)
            client.cookies.clear()
            return str(answer.headers.get("set-cookie", ""))

        assert await set_by("GET", READ, cookie(10)) == ""
        renewed = await set_by("GET", READ, cookie(400))
        value = renewed.partition("=")[2].partition(";")[0]
        session = read_session(value, signing)
        assert session is not None
        assert (session.begun_at, session.session_id) == (now - 3_600_000, "s")
        assert session.used_at >= now
        ages = re.findall(r"Max-Age=(\d+)", renewed)
        assert len(ages) == 1
        assert 39_600 - LIMIT_SECONDS <= int(ages[0]) <= 39_600, "what is left of twelve hours, less what the test took"
        assert_problem(await client.get(READ, headers=cookie(1800)), 401)
        left = await set_by("DELETE", "/session", {**cookie(400), "X-CSRF-Token": csrf_token("s", signing)})
        assert "Max-Age=0" in left
        again = await set_by("POST", "/session", cookie(400), json={"key": token})
        begun = read_session(again.partition("=")[2].partition(";")[0], signing)
        assert begun is not None
        assert begun.session_id != "s"

    serve(guarded_settings(tmp_path), scenario)


def test_over_tls_the_cookie_belongs_to_this_host_alone(tmp_path: Path) -> None:
    """Behind a proxy that says so: Secure, with the prefix, and only that one is read."""
    _, token = a_key(tmp_path, "read")

    async def scenario(client: httpx.AsyncClient) -> None:
        https = {"X-Forwarded-Proto": "https"}
        begun = await client.post("/session", json={"key": token}, headers=https)
        cookie = begun.headers["set-cookie"]
        assert cookie.startswith("__Host-ringonce-session=")
        assert "Secure" in cookie
        assert "Domain" not in cookie
        value = cookie.partition("=")[2].partition(";")[0]
        client.cookies.clear()
        for name, status in (("__Host-ringonce-session", 200), ("ringonce-session", 401)):
            answer = await client.get(READ, headers={**https, "Cookie": f"{name}={value}"})
            assert answer.status_code == status, name

    serve(guarded_settings(tmp_path), scenario)


def test_a_session_ends_with_its_key(tmp_path: Path) -> None:
    """Revoked, it is worth nothing within a second."""
    _, token = a_key(tmp_path, "read")

    async def scenario(client: httpx.AsyncClient) -> None:
        await client.post("/session", json={"key": token})
        assert (await client.get(READ)).status_code == 200
        path = tmp_path / "keys.json"
        path.write_text(path.read_text().replace('"revoked_at": null', '"revoked_at": 1'))
        give_up_at = time.monotonic() + 5
        while (await client.get(READ)).status_code == 200:
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.05)
        assert_problem(await client.get(READ), 401)
        assert_problem(await client.get(READ, headers=bearer(token)), 401, "was revoked")

    serve(guarded_settings(tmp_path), scenario)


FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_elsewhere_gets_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    """With the cookie and even the token of a session, and where everything is open."""
    _, token = a_key(tmp_path, "read", "send")

    async def with_a_session(client: httpx.AsyncClient) -> None:
        document = (await client.post("/session", json={"key": token})).json()
        own = {"X-CSRF-Token": document["csrf_token"], **headers}
        assert_problem(await client.get(READ, headers=own), 403, "elsewhere")
        assert_problem(await client.post("/notifications", headers=own), 403, "elsewhere")
        assert_problem(await client.post("/session", json={"key": token}, headers=headers), 403, "elsewhere")

    async def in_the_open(client: httpx.AsyncClient) -> None:
        assert_problem(await client.get(READ, headers=headers), 403, "elsewhere")
        assert_problem(await client.post("/notifications", headers=headers), 403, "elsewhere")

    serve(guarded_settings(tmp_path), with_a_session)
    serve(front_settings(tmp_path), in_the_open)


def test_our_own_page_gets_what_it_asks_for(tmp_path: Path) -> None:
    """The same origin, or no word of one."""

    async def scenario(client: httpx.AsyncClient) -> None:
        own = str(client.base_url).rstrip("/")
        ours: list[dict[str, str]] = [
            {"Origin": own, "Sec-Fetch-Site": "same-origin"},
            {"Origin": own},
            {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
            {"Host": "localhost:6066", "Origin": "http://localhost:6066"},
            {"Host": "push.example", "Origin": "https://push.example"},
            {},
        ]
        for headers in ours:
            assert (await client.get(READ, headers=headers)).status_code == 200, headers
        preflight = {"Origin": own, "Access-Control-Request-Method": "POST"}
        answer = await client.options("/notifications", headers=preflight)
        assert answer.status_code == 204
        assert not [name for name in answer.headers if name.startswith("access-control")]

    serve(front_settings(tmp_path, api={"allowed_hosts": "push.example, other.example"}), scenario)


def test_an_open_worker_is_called_by_no_name_of_others(tmp_path: Path) -> None:
    """A page whose name was made to lead here (DNS rebinding) has that name as its Host."""

    async def scenario(client: httpx.AsyncClient) -> None:
        for host in (
            "evil.example",
            "evil.example:6066",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1",
            "",
        ):
            answer = await client.get(READ, headers={"Host": host})
            assert_problem(answer, 421, "RINGONCE_API_ALLOWED_HOSTS")
            assert (await client.get("/health/live", headers={"Host": host})).status_code == 200
        for host in ("localhost", "a.localhost:1", "127.0.0.1:6066", "[::1]:6066", "10.1.2.3"):
            assert (await client.get(READ, headers={"Host": host})).status_code == 200, host

    serve(front_settings(tmp_path), scenario)


def test_an_open_worker_says_so(tmp_path: Path) -> None:
    """The page asks once who it is, and needs no key."""

    async def scenario(client: httpx.AsyncClient) -> None:
        document = (await client.get("/session")).json()
        assert document["open"] is True
        assert document["scopes"] == list(SCOPES)
        assert (await client.post("/session", json={"key": "any"})).json() == document
        assert "set-cookie" not in (await client.get("/session")).headers

    serve(front_settings(tmp_path), scenario)


def test_refused_keys_are_bounded_by_address_and_good_ones_pass(tmp_path: Path) -> None:
    """After so many, 429 with when to come again; who has a key behind the same address is not locked out."""
    _, token = a_key(tmp_path, "read")

    async def scenario(client: httpx.AsyncClient) -> None:
        wrong = [await client.get(READ, headers=bearer("ro_000000000000_x")) for _ in range(3)]
        wrong += [await client.post("/session", json={"key": "x"}) for _ in range(3)]
        assert [answer.status_code for answer in wrong] == [401] * 5 + [429]
        assert_problem(wrong[-1], 429, "too many refused keys")
        assert 1 <= int(wrong[-1].headers["retry-after"]) <= 13
        assert (await client.get(READ, headers=bearer(token))).status_code == 200

    serve(guarded_settings(tmp_path, {"failed_per_minute_max": 5}), scenario)


def test_each_key_has_its_rate_and_the_rest_theirs(tmp_path: Path) -> None:
    """What one uses up is not missing for another."""
    _, token = a_key(tmp_path, "read")
    _, other = a_key(tmp_path, "read")

    async def scenario(client: httpx.AsyncClient) -> None:
        statuses = [(await client.get(READ, headers=bearer(token))).status_code for _ in range(5)]
        assert statuses == [200, 200, 429, 429, 429]
        assert (await client.get(READ, headers=bearer(other))).status_code == 200
        anonymous = [(await client.get(path)).status_code for path in ("/session", "/nowhere", "/session")]
        assert anonymous == [401, 404, 429]
        assert (await client.get("/health/live")).status_code == 200

    serve(guarded_settings(tmp_path, {"per_second_max": 1, "anonymous_per_second_max": 1}), scenario)


def test_the_address_behind_proxies_is_the_one_that_the_last_of_ours_saw(tmp_path: Path) -> None:
    """What a caller writes before it counts for nothing."""
    a_key(tmp_path, "read")

    async def scenario(client: httpx.AsyncClient) -> None:
        async def status(told: str) -> int:
            return (await client.get(READ, headers={**bearer("ro_x"), "X-Forwarded-For": told})).status_code

        assert await status("10.0.0.1, 192.0.2.1, 10.9.9.9") == 401
        assert await status("10.0.0.2, 192.0.2.1, 10.9.9.9") == 429
        assert await status("10.0.0.1, 192.0.2.2, 10.9.9.9") == 401
        assert await status("2001:db8::1, 10.9.9.9") == 401
        assert await status("2001:db8::ffff, 10.9.9.9") == 429

    serve(guarded_settings(tmp_path, {"failed_per_minute_max": 1, "proxies": 2}), scenario)


def test_a_forged_forwarding_gives_nothing(tmp_path: Path) -> None:
    """Not by itself, not with a key of its own, not with a signature for something else; a real one does."""
    _, token = a_key(tmp_path, "read", "send", "admin")

    async def scenario(client: httpx.AsyncClient) -> None:
        for header in ("1", "", "v1", "v1 x y", "v1 e30= 00"):
            forged = {FORWARDED_HEADER: header}
            for headers in (forged, {**forged, **bearer(token)}):
                answer = await client.get(READ, headers=headers)
                assert_problem(answer, 403, FORWARDED_HEADER)
        other = sign_forwarded(
            Forwarded("GET", READ, "http://elsewhere:1/"),
            Caller("key", frozenset(SCOPES)),
            time.time_ns() // 1_000_000,
            purpose_key(SECRET.encode(), "forwarding"),
        )
        assert_problem(await client.get(READ, headers={FORWARDED_HEADER: other}), 403, "RINGONCE_CLUSTER_SECRET")

    serve(guarded_settings(tmp_path), scenario)


def test_workers_of_different_secrets_say_so(tmp_path: Path) -> None:
    """Who asked is told which setting to look at, and that it is not for ever; nothing is taken for not found."""
    a_key(tmp_path, "read")

    async def scenario(client: httpx.AsyncClient) -> None:
        other = guarded_settings(tmp_path, cluster_secret=SECRET[::-1])
        authentication = Authentication(open_security(other), lambda: "http://other:1")
        routing = Routing(front_app(other))
        routing.sign = lambda method, target, to: authentication.sign(method, target, to, ITSELF)
        try:
            with pytest.raises(web.HTTPServiceUnavailable, match="RINGONCE_CLUSTER_SECRET"):
                await routing.forward(str(client.base_url), b"templates")
        finally:
            await routing.close()

    serve(guarded_settings(tmp_path), scenario)


def test_a_body_that_says_that_it_is_too_large_is_not_read(tmp_path: Path) -> None:
    """413 before the first byte of it."""

    async def scenario(client: httpx.AsyncClient) -> None:
        for method, path, size in (("GET", READ, 10**6), ("POST", "/notifications", 5 * 10**6)):
            reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n{{".encode())
            answer = await asyncio.wait_for(reader.readuntil(b"}"), 5)
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert f"{size:,}".encode() in answer
            writer.close()

    serve(front_settings(tmp_path), scenario)


def test_no_answer_repeats_a_key(tmp_path: Path) -> None:
    """Wherever it was put by mistake."""
    _, token = a_key(tmp_path, "read")
    secret = token.split("_", 2)[2]

    async def scenario(client: httpx.AsyncClient) -> None:
        answers = [
            await client.get(READ, headers={"Authorization": token}),
            await client.get(READ, headers=bearer(token + "x")),
            await client.post("/session", json={"key": token + "x"}),
            await client.post("/session", json={"kez": token}),
            await client.post("/session", content=json.dumps(token)),
            await client.get(READ, headers={"Cookie": f"ringonce-session={token}"}),
            await client.get(READ, headers={FORWARDED_HEADER: token}),
        ]
        for answer in answers:
            assert answer.status_code in (400, 401, 403), answer.text
            assert secret not in answer.text + str(answer.headers)

    serve(guarded_settings(tmp_path), scenario)
