"""`ringonce doctor` on a real cluster, real simulators of the providers, and what is wrong with them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from streams.topics import ensure_topics
from tests.integration.system import System, system

SECONDS_MAX = 120


def _doctor(running: System, **changed: str) -> tuple[int, dict[str, list[dict[str, Any]]], str]:
    """Its exit code, what it found by area, and all that it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
    environment |= {**running.environment, "RINGONCE_DATA_DIR": str(running.directory / "doctor"), **changed}
    done = subprocess.run(
        [sys.executable, "-m", "streams", "doctor", "--json", "--wait-seconds", "2"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    areas: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(done.stdout):
        areas.setdefault(finding["area"], []).append(finding)
    return done.returncode, areas, done.stdout + done.stderr


def _health(findings: list[dict[str, Any]]) -> set[str]:
    return {finding["health"] for finding in findings}


async def _topics(running: System) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=running.settings.bootstrap)
    await admin.start()
    try:
        return list(await admin.list_topics())
    finally:
        await admin.close()


def test_a_system_that_is_well_and_one_that_is_not(kafka: str, prefix: str, tmp_path: Path) -> None:
    """Everything is looked at; each thing that is broken fails by its name, and nothing else does."""
    with system(kafka, prefix, tmp_path) as running:
        code, well, _ = _doctor(running)
        assert code == 0, well
        for area in ("broker", "topics", "clocks", "disk", "files", "types", "apns", "fcm", "webpush", "webhook"):
            assert _health(well[area]) <= {"ok", "warn"}, well[area]
        assert "BadDeviceToken" in well["apns"][0]["found"]
        assert "every copy in sync" in well["topics"][0]["found"]
        assert "no worker" in well["workers"][0]["found"]
        assert not [name for name in asyncio.run(_topics(running)) if f"{prefix}" in name and "doctor" in name]

        worker = running.worker("one")
        _, with_worker, _ = _doctor(running)
        assert "1 workers share" in with_worker["workers"][0]["found"]
        worker.stop()

        code, no_key, printed = _doctor(running, RINGONCE_APNS_TEAM_ID="ANOTHERONE")
        assert code == 1
        assert _health(no_key["apns"]) == {"fail"}
        assert "InvalidProviderToken" in no_key["apns"][0]["found"]
        assert _health(no_key["fcm"]) == {"ok"}
        assert "PRIVATE KEY" not in printed

        code, unreachable, _ = _doctor(running, RINGONCE_FCM_BASE_URL="https://127.0.0.1:9")
        assert (code, _health(unreachable["fcm"])) == (1, {"fail"})
        assert "RINGONCE_FCM_BASE_URL" in unreachable["fcm"][0]["todo"]

        code, other_partitions, _ = _doctor(running, RINGONCE_PARTITIONS="7")
        assert code == 1
        assert any("has 6 partitions, must have 7" in each["found"] for each in other_partitions["topics"])

        code, other_system, _ = _doctor(running, RINGONCE_TOPIC_PREFIX="nobody-")
        assert code == 1
        assert "`ringonce topics`" in other_system["topics"][0]["todo"]


def test_no_kafka_is_one_failure_among_what_else_was_found(kafka: str, prefix: str, tmp_path: Path) -> None:
    """Where Kafka does not answer, providers and disk are looked at all the same."""
    with system(kafka, prefix, tmp_path) as running:
        asyncio.run(ensure_topics(running.settings))
        code, areas, _ = _doctor(running, RINGONCE_BOOTSTRAP="127.0.0.1:9")
    assert code == 1
    assert _health(areas["broker"]) == {"fail"}
    assert "127.0.0.1:9" in areas["broker"][0]["found"]
    assert _health(areas["apns"]) == {"ok"}
    assert "topics" not in areas
