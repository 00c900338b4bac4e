"""The log of a running worker: silent while it works, and with the trace of what it gives up."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from streams.publish.messages import Message
from tests.integration.otlp_receiver import collector
from tests.integration.system import event, now_ms, system

USERS = [f"user-{number:06d}" for number in range(40)]
KIND = "order_ready"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def lines(log_file: Path) -> list[dict[str, Any]]:
    """What a worker has written; every line is JSON."""
    return [json.loads(line) for line in log_file.read_text(encoding="utf-8").splitlines()]


def scheduled(user: str, notification_id: str) -> Message:
    """A notification that is due in a second."""
    return event(user, "another_kind", notification_id, send_at=now_ms() + 1_000, data={})


def test_normal_work_is_silent(kafka: str, tmp_path: Path) -> None:
    """Admitted, suppressed, scheduled, released, sent, a second worker that comes and goes, and an orderly end."""
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path) as running:
        running.environment |= {"RINGONCE_LOG_FORMAT": "json"}
        worker = running.worker("one")
        running.wait_for_devices()
        running.produce([event(user, KIND, f"{turn}-{user}") for turn in range(2) for user in USERS])
        running.produce([scheduled(user, f"later-{user}") for user in USERS])
        running.ended(3 * len(USERS))
        running.worker("two").stop()
        worker.stop()
        for process in running.processes:
            if process.name in ("one", "two"):
                said = lines(process.log_file)
                assert [each for each in said if each["level"] != "INFO"] == []
                assert {each["logger"] for each in said} == {"ringonce"}, "notices of its start"
                assert "ready: " in said[0]["message"]


def test_what_is_given_up_is_found_by_its_trace(kafka: str, tmp_path: Path) -> None:
    """At INFO: place, code and reason, stage and partition, and the trace that its producer began."""
    with collector() as found, system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path) as running:
        running.environment |= {
            "RINGONCE_LOG_FORMAT": "json",
            "RINGONCE_LOG_LEVEL": "INFO",
            "RINGONCE_OTLP_ENDPOINT": found.url,
            "RINGONCE_OTLP_HEADERS": "authorization=Bearer a-secret-of-the-collector",
        }
        worker = running.worker("one")
        header = ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode())
        running.produce([Message(b"user-000001:order_ready", b"poison", (header,))])
        running.statuses(lambda seen: any(status["state"] == "DEAD" for status in seen.records))
        worker.stop()
        (said,) = [each for each in lines(worker.log_file) if each["logger"] == "streams.stages.dead_letters"]
        assert "is given up: " in said["message"]
        assert (said["level"], said["stage"], said["trace_id"]) == ("INFO", "suppress", TRACE)
        assert f"notifications-{said['partition']}@" in said["message"]
        assert "a-secret-of-the-collector" not in worker.log_file.read_text(encoding="utf-8")
