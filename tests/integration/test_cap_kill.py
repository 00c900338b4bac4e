"""A cap over all types on a real Kafka, with two workers of which one is killed while notifications are under way."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from streams.audit.auditor import AuditOptions
from streams.audit.reading import read_push_log
from streams.commands.audit import run_audit
from streams.publish.messages import Message
from tests.integration.system import SECONDS_MAX, Statuses, System, end_by_force, event, system

USERS = [f"user-{number:06d}" for number in range(40)]
KINDS = [f"kind_{number}" for number in range(7)]
LIMIT = 3
TYPES = """
cap = {limit = 3, window_seconds = 3600}
[defaults]
title = "{{ type }}"
[types.code]
ignores_cap = true
"""


def events(kinds: list[str]) -> Iterator[Message]:
    """One for each user and each of these types, type by type."""
    for kind in kinds:
        for user in USERS:
            yield event(user, kind, f"{kind} {user}")


def ends_of(seen: Statuses, user: str) -> dict[str, str]:
    """How the notifications of a user ended, by type."""
    ends = {"ACCEPTED", "UNKNOWN", "SUPPRESSED"}
    return {each["type"]: each["state"] for each in seen.records if each["user_id"] == user and each["state"] in ends}


def check(running: System, seen: Statuses, push_log: Path) -> None:
    """No user has got more than the cap over all types, and none less; what ignores it came all the same."""
    shown: dict[str, set[str]] = defaultdict(set)
    for push in read_push_log(push_log):
        kind, _, user = push.notification_id.partition(" ")
        shown[user].add(kind)
    for user in USERS:
        ends = ends_of(seen, user)
        sent = {kind for kind, state in ends.items() if state != "SUPPRESSED"}
        assert len(sent - {"code"}) == LIMIT, ends
        assert "code" in sent, ends
        assert shown[user] <= sent, (shown[user], ends)
    turned_away = [each for each in seen.records if each["state"] == "SUPPRESSED"]
    assert len(turned_away) == len(USERS) * (len(KINDS) - LIMIT)
    assert {each["stage"] for each in turned_away} == {"deliver"}
    assert all(each["reason"].startswith("the cap of 3 in 3600 s is reached until ") for each in turned_away)


def test_a_cap_holds_over_a_kill_and_a_rebalance(kafka: str, prefix: str, tmp_path: Path) -> None:
    """Seven types for each user, three of which may be sent, whichever worker claims them.

    one  |---------SIGKILL
    two  |----------------------------------->
    kinds  0 1 2    3 4 5 6            code
    """
    types = tmp_path / "types.toml"
    types.write_text(TYPES, encoding="utf-8")
    with system(kafka, prefix, tmp_path) as running:
        running.environment["RINGONCE_TYPES_FILE"] = str(types)
        one = running.worker("one", ready=False)
        running.worker("two")
        running.wait_for_devices()
        sent = running.produce(events(KINDS[:2]))
        running.ended(sent // 2)
        sent += running.produce(events(KINDS[2:4]))
        end_by_force(one)
        sent += running.produce(events(KINDS[4:]))
        running.ended(sent)
        sent += running.produce(events(["code"]))
        seen = running.ended(sent)
        push_log = tmp_path / "simulators" / "pushes.jsonl"
        asyncio.run(until_logged(push_log, seen))
        check(running, seen, push_log)
        settings = running.settings.model_copy(update={"types_file": types})
        report, lines = asyncio.run(run_audit(settings, AuditOptions(None, None, push_log, 60.0, True), SECONDS_MAX))
        assert report.violations == [], lines
        assert report.turned_away == len(USERS) * (len(KINDS) - LIMIT)
        assert report.state.capped_users == len(USERS)


async def until_logged(push_log: Path, seen: Statuses) -> None:
    """Wait until the simulators have written down all that was accepted."""
    accepted = {each["notification_id"] for each in seen.records if each["state"] == "ACCEPTED"}
    async with asyncio.timeout(SECONDS_MAX):
        while not accepted <= {push.notification_id for push in read_push_log(push_log)}:  # noqa: ASYNC110 (a file)
            await asyncio.sleep(0.1)
