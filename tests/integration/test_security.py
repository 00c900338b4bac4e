"""Two real workers with API keys: who gets in at either, what they sign for each other, and what the audit log says."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from streams.web.routing import FORWARDED_HEADER
from streams.web.security.callers import Caller
from streams.web.security.cluster_secret import purpose_key
from streams.web.security.forwarding import Forwarded, sign_forwarded
from streams.web.security.scopes import SCOPES
from tests.integration.system import SECONDS_MAX, System, event, system, web_url

KIND = "order_ready"
USERS = [f"user-{number:06d}" for number in range(12)]


@dataclass(frozen=True, slots=True)
class Guarded:
    """A system whose two workers share a file of keys, made by the command; `tokens` by scopes, with `+` between."""

    system: System
    urls: tuple[str, str]
    tokens: dict[str, str]
    keys_file: Path

    def key_id(self, scopes: str) -> str:
        """The id of a key."""
        return self.tokens[scopes].split("_")[1]


def ringonce(running: System, keys_file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the settings of the system."""
    environment = {**os.environ, **running.environment, "RINGONCE_API_KEYS_FILE": str(keys_file)}
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


@pytest.fixture(scope="module")
def guarded(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Two workers that have partitions, a held slot for each user, and a key for each scope."""
    directory = tmp_path_factory.mktemp("security")
    keys_file = directory / "keys.json"
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", directory) as running:
        running.environment["RINGONCE_API_KEYS_FILE"] = str(keys_file)
        tokens = {}
        for scopes in ("read", "send", "admin", "read+send+admin"):
            options = [part for scope in scopes.split("+") for part in ("--scope", scope)]
            made = ringonce(running, keys_file, "keys", "create", "--name", f"for {scopes}", *options)
            assert made.returncode == 0, made.stderr
            tokens[scopes] = made.stdout.strip()
        urls = web_url(running.worker("one")), web_url(running.worker("two"))
        for url in urls:
            wait_until(lambda url=url: httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200)
        running.wait_for_devices()
        running.ended(running.produce(event(user, KIND, f"id-{user}") for user in USERS))
        yield Guarded(running, urls, tokens, keys_file)


def wait_until(so: Any) -> None:
    """Ask until it is so. Raises TimeoutError."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while not so():
        if time.monotonic() > give_up_at:
            raise TimeoutError("it has not become so")
        time.sleep(0.05)


def ask(url: str, token: str | None = None, method: str = "GET", **options: Any) -> httpx.Response:
    """One request with a key."""
    headers = {**options.pop("headers", {}), **({} if token is None else {"Authorization": f"Bearer {token}"})}
    return httpx.request(method, url, headers=headers, timeout=SECONDS_MAX, trust_env=False, **options)


def log_of(guarded: Guarded, **wanted: Any) -> list[dict[str, Any]]:
    """Return the entries of the audit log with these values, the newest first."""
    answer = ask(f"{guarded.urls[0]}/audit-log?limit=1000", guarded.tokens["admin"])
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["entries"]
    return [entry for entry in found if all(entry[name] == value for name, value in wanted.items())]


def test_both_workers_answer_for_each_other_by_signature(guarded: Guarded) -> None:
    """A key gets the same from either; none gets nothing; neither has been told a secret of the cluster."""
    for user in USERS:
        path = f"/slots/{user}/{KIND}"
        answers = [ask(url + path, guarded.tokens["read"]) for url in guarded.urls]
        assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
        # The verdict on it may come between the two.
        assert [answer.json()["holders"][0]["notification_id"] for answer in answers] == [f"id-{user}"] * 2
        for url in guarded.urls:
            assert ask(url + path).status_code == 401
            assert ask(url + path, guarded.tokens["send"]).status_code == 403


def test_a_forged_forwarding_gives_nothing(guarded: Guarded) -> None:
    """Not the bare header, not one signed by somebody else, not one that was signed for the other worker."""
    path = f"/slots/{USERS[0]}/{KIND}"
    secret = next(guarded.keys_file.parent.glob(".*.cluster-secret")).read_bytes().strip()
    now = time.time_ns() // 1_000_000
    caller = Caller("key", frozenset(SCOPES))
    mine, other = guarded.urls

    def signed(secret: bytes, to: str, at: int, target: str = path) -> dict[str, str]:
        key = purpose_key(secret, "forwarding")
        return {FORWARDED_HEADER: sign_forwarded(Forwarded("GET", target, to), caller, at, key)}

    assert ask(mine + path, headers=signed(secret, mine, now)).status_code in (200, 503)
    for headers in (
        {FORWARDED_HEADER: "1"},
        signed(b"x" * 64, mine, now),
        signed(secret, other, now),
        signed(secret, mine, now - 60_000),
        signed(secret, mine, now, "/health/live"),
    ):
        for token in (None, guarded.tokens["read"]):
            answer = ask(mine + path, token, headers=headers)
            assert (answer.status_code, answer.headers["ringonce-signature"]) == (403, "refused"), answer.text


def test_a_session_begun_at_one_worker_holds_at_the_other(guarded: Guarded) -> None:
    """And so does its token; from a page elsewhere it is worth nothing."""
    one, two = guarded.urls
    begun = ask(f"{one}/session", method="POST", json={"key": guarded.tokens["read+send+admin"]})
    cookie = {"Cookie": begun.headers["set-cookie"].partition(";")[0]}
    csrf = {"X-CSRF-Token": begun.json()["csrf_token"]}
    assert ask(f"{two}/session", headers=cookie).json() == begun.json()
    put = f"{two}/users/{USERS[0]}/preferences"
    assert ask(put, method="PUT", json={}, headers=cookie).status_code == 403
    foreign = {"Origin": "https://evil.example"}
    assert ask(put, method="PUT", json={}, headers=cookie | csrf | foreign).status_code == 403
    assert ask(put, method="PUT", json={}, headers=cookie | csrf).status_code == 202
    wait_until(lambda: log_of(guarded, action="session.begin", key_id=guarded.key_id("read+send+admin")))


def test_what_is_done_from_a_shell_is_written_down_too(guarded: Guarded) -> None:
    """Before and after, by whom, on which host, and how it ended; of a key that was made, nothing to log in with."""
    user = f"nobody-{uuid.uuid4().hex}"
    done = ringonce(guarded.system, guarded.keys_file, "forget", user, "--requested-by", "ada")
    assert done.returncode == 0, done.stderr
    after, before = log_of(guarded, target=f"forget {user}")
    assert [before["outcome"], after["outcome"]] == ["STARTED", "DONE"]
    assert before["entry_id"] == after["entry_id"]
    for entry in (before, after):
        assert (entry["action"], entry["by"], entry["key_name"]) == ("user.erase", "shell", "ada")
        assert (entry["method"], entry["address"], entry["status"]) == ("ringonce", socket.gethostname(), None)
    late = ringonce(guarded.system, guarded.keys_file, "broadcast", "cancel", f"none-{user}")
    assert late.returncode == 1, late.stderr
    failed, _ = log_of(guarded, target=f"broadcast cancel none-{user}")
    assert (failed["action"], failed["outcome"], failed["detail"]) == ("broadcast.cancel", "FAILED", "exit code 1")
    replayed = ringonce(guarded.system, guarded.keys_file, "dead-letters", "replay", "--all")
    assert replayed.returncode == 0, replayed.stderr
    assert [each["outcome"] for each in log_of(guarded, target="dead-letters replay --all")] == ["DONE", "STARTED"]
    removal = ("template", "publish", "--remove", "never_published", "--by", "ada")
    assert ringonce(guarded.system, guarded.keys_file, *removal).returncode == 0
    removed, _ = log_of(guarded, target="template publish --remove never_published")
    assert (removed["action"], removed["outcome"], removed["key_name"]) == ("template.publish", "DONE", "ada")
    made = {each["target"].split()[2]: each["target"] for each in log_of(guarded, action="key.create", by="shell")}
    for token in guarded.tokens.values():
        assert token.split("_")[1] in made
        assert token.split("_", 2)[2] not in str(made)
    shown = ringonce(guarded.system, guarded.keys_file, "audit-log")
    assert f"ada (shell) at {socket.gethostname()}: ringonce forget {user}" in shown.stdout.replace("\n", "")


def test_a_key_is_made_also_where_it_cannot_be_written_down(guarded: Guarded, tmp_path: Path) -> None:
    """Said on standard error: a log that cannot be written must keep nobody from revoking one."""
    nowhere = tmp_path / "keys.json"
    guarded.system.environment["RINGONCE_BOOTSTRAP"], kafka = "127.0.0.1:9", guarded.system.settings.bootstrap or ""
    try:
        made = ringonce(guarded.system, nowhere, "keys", "create", "--name", "a", "--scope", "read")
    finally:
        guarded.system.environment["RINGONCE_BOOTSTRAP"] = kafka
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("ro_")
    assert "not in the audit log" in made.stderr


def test_a_log_out_reaches_the_copies_of_its_cookie_on_every_worker(guarded: Guarded) -> None:
    """Also on one that starts only afterwards; another session of the same key goes on."""
    one, two = guarded.urls
    name = "read+send+admin"
    begun = [ask(f"{one}/session", method="POST", json={"key": guarded.tokens[name]}) for _ in range(2)]
    copied, other = ({"Cookie": each.headers["set-cookie"].partition(";")[0]} for each in begun)
    assert ask(f"{two}/session", headers=copied).status_code == 200
    csrf = {"X-CSRF-Token": begun[0].json()["csrf_token"], "Accept": "application/json"}
    assert ask(f"{one}/session", method="DELETE", headers=copied | csrf).status_code == 204
    assert ask(f"{one}/session", headers=copied).status_code == 401
    wait_until(lambda: ask(f"{two}/session", headers=copied).status_code == 401)
    three = guarded.system.worker("three")
    late = web_url(three)
    wait_until(lambda: ask(f"{late}/session", headers=other).status_code == 200)
    assert ask(f"{late}/session", headers=copied).status_code == 401
    three.stop()
    for url in guarded.urls:
        assert ask(f"{url}/session", headers=other).status_code == 200
        wait_until(lambda url=url: ask(f"{url}/health/ready").status_code == 200)


def test_what_admins_do_is_written_down_before_it_is_answered(guarded: Guarded) -> None:
    """Before and after, by whom, on what, how it ended; a refusal too; nothing of it has a key in it."""
    url, token = guarded.urls[1], guarded.tokens["admin"]
    user = f"nobody-{uuid.uuid4().hex}"
    done = ask(f"{url}/users/{user}", token, "DELETE")
    assert done.status_code == 200, done.text
    after, before = log_of(guarded, target=f"/users/{user}")
    assert before["entry_id"] == after["entry_id"]
    assert (before["outcome"], before["status"]) == ("STARTED", None)
    assert (after["outcome"], after["status"]) == ("DONE", 200)
    for entry in (before, after):
        assert (entry["action"], entry["by"], entry["key_name"]) == ("user.erase", "key", "for admin")
        assert (entry["key_id"], entry["method"], entry["address"]) == (guarded.key_id("admin"), "DELETE", "127.0.0.1")
        assert entry["worker"].rstrip("/") == url
    gone = ask(f"{url}/broadcasts/none-{user}/cancel", token, "POST")
    assert gone.status_code == 404
    (failed,) = log_of(guarded, target=f"/broadcasts/none-{user}/cancel", outcome="FAILED")
    assert failed["status"] == 404
    assert "no broadcast" in failed["detail"]
    assert ask(f"{url}/users/{user}?key={token}", guarded.tokens["send"], "DELETE").status_code == 403
    wait_until(lambda: log_of(guarded, outcome="REFUSED", key_name="for send"))
    assert ask(f"{url}/slots/a/b", "ro_0123456789ab_wrong").status_code == 401
    wait_until(lambda: log_of(guarded, action="key.refused"))
    text = json.dumps(log_of(guarded))
    for each in guarded.tokens.values():
        assert each.split("_", 2)[2] not in text


def test_the_audit_log_is_read_page_by_page(guarded: Guarded) -> None:
    """The newest first, each entry once; the command reads the same; a reader's key does not."""
    url, token = guarded.urls[0], guarded.tokens["admin"]
    for _ in range(3):
        assert ask(f"{url}/broadcasts/nobody/pause", token, "POST").status_code == 404
    offsets: list[int] = []
    before = ""
    while True:
        page = ask(f"{url}/audit-log?limit=2{before}", token).json()
        offsets += [entry["offset"] for entry in page["entries"]]
        if page["before"] is None:
            break
        before = f"&before={page['before']}"
    assert offsets == list(range(len(offsets)))[::-1]
    assert len(offsets) >= 6
    shown = ringonce(guarded.system, guarded.keys_file, "audit-log", "--json", "--limit", "1000")
    assert [entry["offset"] for entry in json.loads(shown.stdout)["entries"]] == offsets
    table = ringonce(guarded.system, guarded.keys_file, "audit-log", "--limit", "3")
    assert "broadcast.pause" in table.stdout
    assert ask(f"{url}/audit-log", guarded.tokens["read"]).status_code == 403
    for query in ("limit=0", "before=x", "more=1"):
        assert ask(f"{url}/audit-log?{query}", token).status_code == 400


def test_a_key_ends_at_both_workers_while_they_run(guarded: Guarded) -> None:
    """Made by the command, good within a second; revoked, and its session with it, within a second."""
    made = ringonce(guarded.system, guarded.keys_file, "keys", "create", "--name", "short", "--scope", "read")
    token = made.stdout.strip()
    path = f"/slots/{USERS[0]}/{KIND}"
    for url in guarded.urls:
        wait_until(lambda url=url: ask(url + path, token).status_code == 200)
    begun = ask(f"{guarded.urls[0]}/session", method="POST", json={"key": token})
    cookie = {"Cookie": begun.headers["set-cookie"].partition(";")[0]}
    assert ask(guarded.urls[1] + path, headers=cookie).status_code == 200
    revoked = ringonce(guarded.system, guarded.keys_file, "keys", "revoke", token.split("_")[1])
    assert revoked.returncode == 0
    began = time.monotonic()
    for url in guarded.urls:
        wait_until(lambda url=url: ask(url + path, token).status_code == 401)
        assert ask(url + path, headers=cookie).status_code == 401
    assert time.monotonic() - began < 5
    listed = ringonce(guarded.system, guarded.keys_file, "keys", "list")
    assert "revoked" in listed.stdout
    assert token.split("_", 2)[2] not in listed.stdout + (guarded.keys_file).read_text()


def test_a_command_asks_with_its_key(guarded: Guarded) -> None:
    """Without one it says which setting is missing."""
    arguments = ("schedule", "list", "--url", guarded.urls[0])
    refused = ringonce(guarded.system, guarded.keys_file, *arguments)
    assert refused.returncode == 1
    assert "RINGONCE_API_KEY" in refused.stderr
    guarded.system.environment["RINGONCE_API_KEY"] = guarded.tokens["read"]
    try:
        assert ringonce(guarded.system, guarded.keys_file, *arguments).returncode == 0
    finally:
        del guarded.system.environment["RINGONCE_API_KEY"]


def test_a_worker_takes_its_time_for_nobody(guarded: Guarded) -> None:
    """What is too large, and what is called by a name that leads here, is refused at once, before its body comes."""
    parts = urlsplit(guarded.urls[0])
    for head, status in (
        (b"POST /notifications HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000", b"413"),
        (b"GET /metrics HTTP/1.1\r\nHost: evil.example", b"421"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost", b"431"),
    ):
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as connection:
            connection.sendall(head + b"\r\n\r\n")
            answer = b""
            while b"}" not in answer:
                part = connection.recv(65_536)
                assert part, answer
                answer += part
        assert answer.split()[1] == status
        assert b"application/problem+json" in answer


def test_faults_own_views_are_not_there(guarded: Guarded) -> None:
    """Not even for who has every scope."""
    for path in ("/table", "/table/slots/x/", "/router", "/graph", "/stats/", "/tables/"):
        assert ask(guarded.urls[0] + path, guarded.tokens["read+send+admin"]).status_code == 404


def test_a_worker_does_not_start_where_it_would_be_open_to_the_network(guarded: Guarded) -> None:
    """It says what to do, at once, and ends with 2."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_API")},
        **{name: value for name, value in guarded.system.environment.items() if name != "RINGONCE_API_KEYS_FILE"},
        "RINGONCE_WEB_HOST": "0.0.0.0",
        "RINGONCE_DATA_DIR": str(guarded.keys_file.parent / "never"),
    }
    command = [sys.executable, "-m", "streams", "worker"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "RINGONCE_WEB_HOST: 0.0.0.0 can be reached from other machines" in done.stderr
    assert "ringonce keys create" in done.stderr
