"""The audit that every worker carries: silent while the promise holds, and loud about what somebody else writes."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Callable

import httpx
import pytest

from tests.integration.system import SECONDS_MAX, event, forged, system, web_url

KIND = "order_ready"
USERS = [f"user-{number:06d}" for number in range(20)]
LOOK_SECONDS = 0.2


def values(url: str, name: str) -> dict[str, float]:
    """The values of one metric by its labels."""
    text = httpx.get(f"{url}/metrics", timeout=SECONDS_MAX, trust_env=False).text
    return {found[1] or "": float(found[2]) for found in re.finditer(rf"^{name}(\{{.*\}})? (\S+)$", text, re.M)}


def until(so: Callable[[], bool]) -> None:
    """Look until it is so. Raises TimeoutError."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while not so():
        if time.monotonic() > give_up_at:
            raise TimeoutError
        time.sleep(LOOK_SECONDS)


def test_it_counts_nothing_while_all_is_well_and_finds_what_is_not(
    kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Real notifications first; then a second send of a slot within its window appears on the record."""
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("audit")) as running:
        worker = running.worker("one")
        url = web_url(worker)
        running.wait_for_devices()
        sent = 0
        while not values(url, "ringonce_audit_statuses_total").get("", 0):  # it starts at the end of the topic
            sent += running.produce(event(user, KIND, f"{sent}-{user}") for user in USERS)
            running.ended(sent)
        seen = values(url, "ringonce_audit_statuses_total")[""]
        fresh = [f"user-{number:06d}" for number in range(20, 40)]
        sent += running.produce(event(user, KIND, f"first-{user}") for user in fresh)
        running.ended(sent)
        until(lambda: values(url, "ringonce_audit_statuses_total")[""] >= seen + 4 * len(fresh))
        assert set(values(url, "ringonce_audit_violations_total").values()) == {0.0}
        assert values(url, "ringonce_audit_sample_ratio") == {"": 1.0}

        asyncio.run(running.produce_to(running.topics.statuses, [forged(fresh[0], KIND, "forged", 10**9)]))
        until(lambda: values(url, "ringonce_audit_violations_total")['{promise="P1"}'] == 1)
        log = worker.log_file.read_text(encoding="utf-8")
        assert "audit: P1 is broken: slot user-000020:order_ready: 2 notifications within" in log
