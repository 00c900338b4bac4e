"""Users are erased on a real Kafka, from the shell and over HTTP, with two workers of which one is killed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from schemas.codec import Codec
from streams.audit.auditor import AuditOptions
from streams.commands.audit import run_audit
from streams.publish.messages import Message
from streams.stages.forgetting import Forget, write_forget
from tests.integration.kafka_records import read_all
from tests.integration.system import PARTITIONS, SECONDS_MAX, System, end_by_force, event, now_ms, system, web_url
from tests.integration.test_cap_kill import until_logged

ROOT = Path(__file__).parents[2]
ANN, BOB, CID, DAN = (f"user-{number:06d}" for number in range(4))
KINDS = [f"kind_{number}" for number in range(6)]
DAY_MS = 86_400_000


def scheduled(user: str, kind: str) -> Message:
    """An event that is due in a day."""
    return event(user, kind, f"later {kind}", send_at=now_ms() + DAY_MS, data={})


def wishes(user: str) -> Message:
    """A user who has opted out of one type."""
    record = {"user_id": user, "opted_out_types": ["kind_0"]}
    return Message(user.encode(), Codec().encode("Preferences", record))


def forget(running: System, user: str) -> dict[str, Any]:
    """`ringonce forget`, to its end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
    done = subprocess.run(
        [sys.executable, "-m", "streams", "forget", user],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**clean, **running.environment, "COLUMNS": "200"},
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def last_values(running: System, topic: str, user: str) -> list[bytes | None]:
    """The last record of a user on a topic, None: a tombstone."""
    records = await read_all(running.settings.bootstrap or "", topic)
    return [record.value for record in records if record.key == user.encode()][-1:]


async def ask_without_waiting(running: System, user: str) -> None:
    """Write the command as any producer may."""
    topic = running.topics.device_changes
    value = write_forget(Codec(), Forget(user.encode(), "by hand", "a test", now_ms()), topic)
    await running.produce_to(topic, [Message(user.encode(), value)])


async def until_answered(running: System, user: str) -> list[dict[str, Any]]:
    """Wait until all partitions have answered for a user."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            records = await read_all(running.settings.bootstrap or "", running.topics.answers)
            found = [Codec().decode(record.value, ("ForgetAnswer",)).record for record in records]
            found = [each for each in found if each["user_id"] == user]
            if len({(each["stage"], each["partition"]) for each in found}) == 2 * PARTITIONS + 1:
                return found
            await asyncio.sleep(0.2)


def test_a_user_is_erased_by_all_partitions_and_may_come_back(kafka: str, prefix: str, tmp_path: Path) -> None:
    """What was removed is counted by kind; what waited is CANCELLED; the slots hold back who comes back at once.

    ann   sent, scheduled    |forget     registered anew   x within the window, sent by another type
    bob   the same           |DELETE
    cid   the same           |command, and one worker is killed
    """
    with system(kafka, prefix, tmp_path) as running:
        one = running.worker("one", ready=False)
        two = running.worker("two")
        running.wait_for_devices()
        devices = asyncio.run(last_values(running, running.topics.devices, ANN))[0]
        asyncio.run(running.produce_to(running.topics.preferences, [wishes(user) for user in (ANN, BOB, CID)]))
        users = (ANN, BOB, CID, DAN)
        sent = running.produce(event(user, kind, f"{kind} {user}") for user in users for kind in KINDS[1:3])
        running.ended(sent)
        pending = running.produce(scheduled(user, kind) for user in users for kind in KINDS)
        running.statuses(lambda seen: sum(each["state"] == "DEFERRED" for each in seen.records) == pending)

        found = forget(running, ANN)
        assert found["complete"], found
        assert found["removed"].pop("devices") >= 1
        counted = {"preferences": 1, "profiles": 0, "notifications": 2, "pending": len(KINDS), "retries": 0, "slots": 0}
        assert found["removed"] == counted
        assert found["kept"]["slots"] == 2
        assert (found["unread"], found["not_answered"]) == (0, [])
        assert {each["stage"] for each in found["partitions"]} == {"deliver", "schedule", "suppress"}

        answer = httpx.request(
            "DELETE", f"{web_url(two)}/users/{BOB}", json={"requested_by": "ops"}, timeout=SECONDS_MAX, trust_env=False
        )
        assert (answer.status_code, answer.json()["removed"]["pending"]) == (200, len(KINDS)), answer.text

        asyncio.run(ask_without_waiting(running, CID))
        end_by_force(one)
        asyncio.run(until_answered(running, CID))
        for user in (ANN, BOB, CID):
            for topic in (running.topics.devices, running.topics.preferences, running.topics.profiles):
                assert asyncio.run(last_values(running, topic, user)) == [None], (user, topic)

        assert devices is not None
        asyncio.run(running.produce_to(running.topics.devices, [Message(ANN.encode(), devices)]))
        running.wait_for_devices()
        again = [event(ANN, KINDS[1], "again"), event(ANN, KINDS[3], "other"), event(BOB, KINDS[4], "nobody")]
        sent += running.produce(again)
        seen = running.ended(sent + 3 * len(KINDS))
        assert [seen.states(name)[-1] for name in ("again", "other", "nobody")] == [
            "SUPPRESSED",
            "ACCEPTED",
            "NO_DEVICE",
        ]
        cancelled = [each for each in seen.records if each["state"] == "CANCELLED"]
        assert {each["user_id"] for each in cancelled} == {ANN, BOB, CID}
        assert all(each["reason"].startswith("the user was erased") for each in cancelled)
        assert len(cancelled) == 3 * len(KINDS)
        push_log = tmp_path / "simulators" / "pushes.jsonl"
        asyncio.run(until_logged(push_log, seen))
        options = AuditOptions(None, None, push_log, 60.0, False)
        report, lines = asyncio.run(run_audit(running.settings, options, SECONDS_MAX))
        assert report.violations == [], lines
        assert report.under_way["DEFERRED"] == len(KINDS)  # of the user who stays
