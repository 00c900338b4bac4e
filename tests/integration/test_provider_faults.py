"""A worker and providers that fail, on real connections: nothing is lost, nothing doubled, and the others go on.

Every user has one device, every tenth a second one. Each part sends everybody a notification of a type of its own.
For how long one provider is dead: `RINGONCE_TEST_OUTAGE_MINUTES`, 0 is as long as the part needs; ten of them take
`pytest --timeout 1200`.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.records import FINAL_STATES
from streams.demo.processes import Process
from streams.demo.workload import PROVIDERS, user_id
from tests.integration.system import SECONDS_MAX, USERS, Statuses, System, event, system, web_url

LOOK_SECONDS = 0.1
OUTAGE_SECONDS = 60 * float(os.environ.get("RINGONCE_TEST_OUTAGE_MINUTES", "0"))
ROUND_SECONDS = 20.0  # in a long outage everybody is sent something so often
PROBE_SECONDS_MAX = 60.0  # a breaker stays open for no longer
WITH_TOKENS = ("apns", "fcm", "webpush")
FAILURES = 3  # in a row open a breaker here
# Those who have one device only, at FCM and not.
FCM_ONLY = [user_id(n) for n in range(USERS) if PROVIDERS[n % len(PROVIDERS)] == "fcm" and n % 10]
OTHERS = [user_id(n) for n in range(USERS) if PROVIDERS[n % len(PROVIDERS)] != "fcm" and n % 10]


class Line:
    """A system with one worker, and its simulators over their control port."""

    def __init__(self, found: System, worker: Process) -> None:
        self.system = found
        self.worker = worker
        self._url = found.simulators["control_url"]

    @contextmanager
    def fault(self, providers: tuple[str, ...], fault: str, **numbers: Any) -> Iterator[None]:
        """Let a fault strike as long as the block lasts."""
        for provider in providers:
            self._post("faults", {"provider": provider, "fault": fault, **numbers})
        yield
        for provider in providers:
            self._post("faults", {"provider": provider, "clear": True})

    def struck(self, provider: str, fault: str) -> int:
        """How often a fault has struck."""
        with urllib.request.urlopen(f"{self._url}/counts", timeout=30) as answer:
            return int(json.load(answer)["struck"][provider].get(fault, 0))

    def _post(self, path: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(f"{self._url}/{path}", json.dumps(body).encode(), method="POST")
        urllib.request.urlopen(request, timeout=30).close()

    def send(self, kind: str, users: list[str]) -> None:
        """A notification of this type for each of them."""
        self.system.produce([event(user, kind, f"{kind}-{user}") for user in users])

    def until(self, kind: str, users: list[str], states: frozenset[str] = FINAL_STATES) -> Counter[str]:
        """Wait until the last word about each of them is one of these; return how often each is."""
        last: dict[str, str] = {}
        wanted = {f"{kind}-{user}" for user in users}

        def ready(seen: Statuses) -> bool:
            last.update({status["notification_id"]: status["state"] for status in seen.records})
            return all(last.get(notification_id) in states for notification_id in wanted)

        try:
            self.system.statuses(ready)
        except TimeoutError:
            waiting = {each: last.get(each) for each in sorted(wanted) if last.get(each) not in states}
            raise AssertionError(f"not all have ended: {waiting}\n{self.worker.last_lines()}") from None
        return Counter(last[notification_id] for notification_id in wanted)

    def breaker_is_open(self) -> bool:
        """What the worker's metrics say of FCM."""
        with urllib.request.urlopen(f"{web_url(self.worker)}/metrics", timeout=30) as answer:
            return 'ringonce_provider_breaker_open{service="fcm"} 1.0' in answer.read().decode()

    def shown(self) -> Counter[str]:
        """How often each notification reached each address, by the simulators' own record."""
        lines = Path(self.system.simulators["log_file"]).read_text(encoding="utf-8").splitlines()
        pushes = [json.loads(line) for line in lines]
        return Counter(f"{push['notification_id']} {push['address']}" for push in pushes)


@pytest.fixture
def line(kafka: str, prefix: str, tmp_path: Path) -> Iterator[Line]:
    """One worker, whose breakers open early."""
    with system(kafka, prefix, tmp_path) as found:
        for name in PROVIDERS:
            found.environment[f"RINGONCE_{name.upper()}_BREAKER_FAILURES"] = str(FAILURES)
        worker = found.worker("worker")
        found.wait_for_devices()
        yield Line(found, worker)


def test_providers_that_fail_lose_nothing_double_nothing_and_hold_back_nobody(line: Line) -> None:
    """Dead FCM, 429 for everybody, GOAWAY again and again, tokens that expire: all are served once, in the end."""
    everybody = [user_id(number) for number in range(USERS)]
    _while_fcm_is_dead(line)
    with line.fault(PROVIDERS, "throttle", retry_after_seconds=1.0):
        line.send("storm", everybody)
        line.until("storm", everybody, frozenset(("DEFERRED", "RETRYING", "SENDING", "ATTEMPTED")))
    assert line.until("storm", everybody) == Counter(ACCEPTED=USERS)
    with line.fault(PROVIDERS, "goaway_every", every=5):
        line.send("away", everybody)
        assert line.until("away", everybody) == Counter(ACCEPTED=USERS)
    with line.fault(WITH_TOKENS, "expire_tokens", count=1):  # Apple lets a token change once in 20 minutes
        line.send("token", everybody)
        assert line.until("token", everybody) == Counter(ACCEPTED=USERS)
    assert [line.struck(name, "expire_tokens") for name in WITH_TOKENS] == [1, 1, 1]
    assert min(line.struck(name, "goaway_every") for name in WITH_TOKENS) > 0
    assert set(line.shown().values()) == {1}


def _while_fcm_is_dead(line: Line) -> None:
    """A few are spent on finding it out; the others wait, arrive afterwards, and nobody else notices."""
    first, rest = FCM_ONLY[:FAILURES], FCM_ONLY[FAILURES:]
    waiting, slowest = {"dead": rest}, 0.0
    with line.fault(("fcm",), "unavailable", retry_after_seconds=None):
        dead_until = time.monotonic() + OUTAGE_SECONDS
        for user in first:
            line.send("dead", [user])
        assert line.until("dead", first) == Counter(UNKNOWN=FAILURES)
        _until(line.breaker_is_open)
        line.send("dead", rest + OTHERS)
        assert line.until("dead", OTHERS) == Counter(ACCEPTED=len(OTHERS))
        line.until("dead", rest, frozenset(("DEFERRED", "UNKNOWN")))
        while time.monotonic() < dead_until:
            kind, began_at = f"dead-{len(waiting)}", time.monotonic()
            waiting[kind] = FCM_ONLY
            line.send(kind, FCM_ONLY + OTHERS)
            assert line.until(kind, OTHERS) == Counter(ACCEPTED=len(OTHERS))
            slowest = max(slowest, time.monotonic() - began_at)
            time.sleep(min(ROUND_SECONDS, max(0.0, dead_until - time.monotonic())))
        assert line.breaker_is_open()
    mended_at = time.monotonic()
    ended = sum((line.until(kind, users) for kind, users in waiting.items()), Counter[str]())
    print(
        f"FCM dead for {OUTAGE_SECONDS / 60:g} minutes: {dict(ended)} of those that waited, the last of them"
        f" {time.monotonic() - mended_at:.0f} s after its end; {len(waiting)} rounds to {len(OTHERS)} others meanwhile,"
        f" each known to be accepted within {slowest:.1f} s"
    )
    assert set(ended) <= {"ACCEPTED", "UNKNOWN"}
    tried = line.struck("fcm", "unavailable") - FAILURES
    assert ended["UNKNOWN"] == tried, "those that it was tried with while it was dead, and no other"
    assert tried <= 2 + OUTAGE_SECONDS / PROBE_SECONDS_MAX + 4, "once in five seconds at first, then once a minute"
    _until(lambda: not line.breaker_is_open())


def _until(ready: Any) -> None:
    give_up_at = time.monotonic() + SECONDS_MAX
    while not ready():
        assert time.monotonic() < give_up_at
        time.sleep(LOOK_SECONDS)
