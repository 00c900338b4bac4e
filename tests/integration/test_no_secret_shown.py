"""No secret in logs, errors and answers: one in every setting that holds one, at DEBUG, while much goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from connectors.embedded_kafka import EmbeddedKafka, Security
from connectors.simulators import make_authority
from streams.demo.processes import Process, start, wait_for_log
from streams.web.routing import FORWARDED_HEADER
from tests.integration.system import SECONDS_MAX, System, event, system, web_url

MARK = "hunter2"
SASL_PASSWORD = f"{MARK}-sasl-{uuid.uuid4().hex}"
CLUSTER_SECRET = f"{MARK}-cluster-{uuid.uuid4().hex}"
SERVICE_TOKEN = f"{MARK}-service-{uuid.uuid4().hex}"
DATABASE_PASSWORD = f"{MARK}-database-{uuid.uuid4().hex}"
OTLP_TOKEN = f"{MARK}-traces-{uuid.uuid4().hex}"
REGISTRY_PASSWORD = f"{MARK}-registry-{uuid.uuid4().hex}"
CLOSED = "127.0.0.1:9"


@dataclass(slots=True)
class Watched:
    """A worker that logs everything, what was set as a secret anywhere, and all that was answered."""

    system: System
    worker: Process
    url: str
    token: str
    secrets: dict[str, str]
    shown: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, **options: object) -> httpx.Response:
        """Send a request, and keep all of its answer."""
        answer = httpx.request(method, f"{self.url}{path}", timeout=SECONDS_MAX, trust_env=False, **options)  # type: ignore[arg-type] # as httpx takes them
        self.shown.append(f"{answer.status_code} {answer.headers} {answer.text}")
        return answer

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command, and keep all that it says."""
        own = {f"RINGONCE_{name}": value for name, value in environment.items()}
        own["RINGONCE_DATA_DIR"] = str(self.system.directory / "else")
        done = subprocess.run(
            [sys.executable, "-m", "streams", *arguments],
            env={
                **os.environ,
                **self.system.environment,
                "RINGONCE_DATA_DIR": str(self.system.directory / "else"),
                **own,
            },
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        self.shown.append(done.stdout + done.stderr)
        return done

    def leaks(self) -> list[str]:
        """Return which secrets stand anywhere in what was shown, with what is around them."""
        texts = [*self.shown, *(path.read_text(errors="replace") for path in self.system.directory.glob("*.log"))]
        found = []
        for name, secret in self.secrets.items():
            for text in texts:
                at = text.find(secret)
                if at >= 0:
                    found.append(f"{name}: …{text[max(0, at - 200) : at]}")
        return found


def secrets_of(environment: dict[str, str]) -> dict[str, str]:
    """Return the parts of the providers' credentials that would give them away, by where they come from."""
    found: dict[str, str] = {}
    for name in ("APNS_KEY_FILE", "WEBPUSH_VAPID_KEY_FILE", "FCM_SERVICE_ACCOUNT_FILE", "WEBHOOK_SECRET_FILE"):
        text = Path(environment[f"RINGONCE_{name}"]).read_text(encoding="utf-8")
        if name == "FCM_SERVICE_ACCOUNT_FILE":
            text = json.loads(text)["private_key"]
        lines = [line for line in text.splitlines() if line.strip() and "-----" not in line]
        found |= {f"{name}, line {number}": line.strip()[:60] for number, line in enumerate(lines)}
    return found


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One worker over SASL PLAIN, with every secret set; its user service and its database are not there."""
    ours, directory = make_authority(tmp_path_factory.mktemp("authority")), tmp_path_factory.mktemp("secrets")
    security = Security(ours.ca_file, ours.cert_file, ours.key_file, "ringonce", SASL_PASSWORD)
    with EmbeddedKafka(fast_start=True, security=security) as broker:
        sasl = {
            "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "SASL_MECHANISM": "PLAIN",
            "SASL_USERNAME": "ringonce",
            "SASL_PASSWORD": SASL_PASSWORD,
        }
        with system(broker.secured("SASL_PLAINTEXT"), f"t{uuid.uuid4().hex[:10]}-", directory, sasl) as running:
            token_file = directory / "service-token"
            token_file.write_text(SERVICE_TOKEN)
            running.environment |= {
                "RINGONCE_API_KEYS_FILE": str(directory / "keys.json"),
                "RINGONCE_CLUSTER_SECRET": CLUSTER_SECRET,
                "RINGONCE_HISTORY_URL": f"postgresql://ringonce:{DATABASE_PASSWORD}@{CLOSED}/history",
                "RINGONCE_USER_SERVICE_URL": f"http://{CLOSED}/users/{{user_id}}",
                "RINGONCE_USER_SERVICE_ALLOW_HTTP": "true",
                "RINGONCE_USER_SERVICE_TOKEN_FILE": str(token_file),
                "RINGONCE_OTLP_ENDPOINT": f"http://{CLOSED}",
                "RINGONCE_OTLP_HEADERS": f"authorization=Bearer {OTLP_TOKEN}",
                "RINGONCE_SCHEMA_REGISTRY_USERNAME": "ringonce",
                "RINGONCE_SCHEMA_REGISTRY_PASSWORD": REGISTRY_PASSWORD,
            }
            scopes = ("--scope", "read", "--scope", "send", "--scope", "admin")
            made = subprocess.run(
                [sys.executable, "-m", "streams", "keys", "create", "--name", "tests", *scopes],
                env={**os.environ, **running.environment},
                capture_output=True,
                text=True,
                timeout=SECONDS_MAX,
                check=True,
            )
            token = made.stdout.strip()
            environment = {**running.environment, "RINGONCE_DATA_DIR": str(directory / "one")}
            worker = start("one", ["streams", "worker", "--log-level", "DEBUG"], directory, environment)
            running.processes.append(worker)
            wait_for_log(worker, "ready:")
            secrets = {
                **secrets_of(running.environment),
                "SASL_PASSWORD": SASL_PASSWORD,
                "CLUSTER_SECRET": CLUSTER_SECRET,
                "USER_SERVICE_TOKEN_FILE": SERVICE_TOKEN,
                "HISTORY_URL": DATABASE_PASSWORD,
                "OTLP_HEADERS": OTLP_TOKEN,
                "SCHEMA_REGISTRY_PASSWORD": REGISTRY_PASSWORD,
                "API key": token.split("_", 2)[2],
            }
            yield Watched(running, worker, web_url(worker), token, secrets)


def test_no_secret_is_shown_while_much_goes_wrong(watched: Watched) -> None:
    """Requests good and bad, pushes to every provider, an outage of what is asked, commands that fail, and the end."""
    bearer = {"Authorization": f"Bearer {watched.token}"}
    wrong = {"Authorization": f"Bearer {watched.token}x"}
    assert watched.ask("GET", "/templates", headers=bearer).status_code == 200
    begun = watched.ask("POST", "/session", json={"key": watched.token})
    assert begun.status_code == 200
    # The answer sets the cookie for who asked: nowhere else may it stand.
    cookie = begun.headers["set-cookie"].partition(";")[0]
    watched.shown.clear()
    watched.secrets |= {"session": cookie.partition("=")[2], "csrf": begun.json()["csrf_token"]}
    for headers in (bearer, wrong, {"Cookie": cookie}, {FORWARDED_HEADER: watched.token}, {"Cookie": watched.token}):
        for method, path in (
            ("GET", "/slots/a/b"),
            ("GET", "/metrics"),
            ("POST", "/notifications"),
            ("DELETE", "/users/nobody"),
            ("GET", "/audit-log"),
            ("GET", "/overview"),
            ("GET", f"/{'x' * 9000}"),
            ("POST", "/dead-letters/replay"),
            ("BREW", "/coffee"),
        ):
            watched.ask(method, path, headers=headers)
    watched.ask("POST", "/session", content=json.dumps(watched.token))
    watched.ask("POST", "/session", json={"key": [watched.token]})
    watched.ask("GET", "/slots/a/b", headers={"X": "y" * 9000, **bearer})
    watched.system.wait_for_devices()
    users = [f"user-{number:06d}" for number in range(20)]
    watched.system.ended(watched.system.produce(event(user, "order_ready", f"id-{user}") for user in users))
    broken = watched.command("history", "search", "--user", "u")
    assert broken.returncode != 0, "the database is not there"
    refused = watched.command("topics", "--wait-seconds", "3", SASL_PASSWORD=f"{SASL_PASSWORD}-wrong")
    assert refused.returncode != 0
    registry = watched.command("publish", "--user", "u", "--type", "t", SCHEMA_REGISTRY_URL=f"http://{CLOSED}")
    assert registry.returncode != 0
    watched.command("doctor")
    watched.command("keys", "list")
    watched.command("keys", "revoke", f"{watched.token[:6]}x{watched.token[6:]}")
    assert watched.command("keys", "revoke", watched.token).returncode == 0
    watched.command("worker", CLUSTER_SECRET=CLUSTER_SECRET[:20], APNS_KEY_ID="")
    log = watched.worker.log_file.read_text(errors="replace")
    assert len(log) > 100_000, "it is said at DEBUG"
    assert "DEBUG" in log
    watched.worker.stop()
    assert watched.leaks() == []


def test_a_leak_would_be_found(watched: Watched) -> None:
    """Each secret is looked for as it is set: long enough to be no accident."""
    assert len(watched.secrets) >= 10
    assert all(len(secret) >= 16 for secret in watched.secrets.values())
    for secret in watched.secrets.values():
        watched.shown.append(f"before {secret} after")
        assert watched.leaks()
        watched.shown.pop()
