"""An installation moves to twice as many partitions, on real Kafka, and the promise goes on as if nothing had been."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from streams.audit.auditor import AuditOptions
from streams.commands.audit import run_audit
from streams.publish.messages import Message
from streams.repartition import move
from streams.repartition.copying import Moved
from streams.repartition.move import RepartitionError, repartition
from streams.repartition.retiring import retire
from streams.settings import Settings
from tests.integration.system import PARTITIONS, System, event, now_ms, system

SECONDS_MAX = 120
SLOTS = 40
LATER = 10
DUE_MS = 25_000  # from when it is produced: it must still be pending when the system moves
NEW = 2 * PARTITIONS


def _later(number: int) -> Message:
    send_at, data = now_ms() + DUE_MS, {"count": "3"}
    return event(f"user-{number:06d}", "daily_digest", f"later{number}", send_at=send_at, data=data)


def _new_settings(old: Settings) -> Settings:
    return old.model_copy(
        update={"partitions": NEW, "topic_prefix": f"{old.topic_prefix}v2-", "app_id": f"{old.app_id}-v2"}
    )


def _silent(_: str) -> None:
    return


def _successor(running: System) -> System:
    """The installation that comes after."""
    new = _new_settings(running.settings)
    own = {
        "RINGONCE_PARTITIONS": str(new.partitions),
        "RINGONCE_TOPIC_PREFIX": new.topic_prefix,
        "RINGONCE_APP_ID": new.app_id,
    }
    return replace(running, settings=new, environment={**running.environment, **own})


@contextmanager
def _at_rest(kafka: str, prefix: str, directory: Path) -> Iterator[System]:
    """One that has sent to 40 slots, holds 10 for later, and whose worker has stopped."""
    with system(kafka, prefix, directory) as running:
        worker = running.worker("old")
        running.wait_for_devices()
        running.produce([event(f"user-{number:06d}", "order_ready", f"n{number}") for number in range(SLOTS)])
        running.produce([_later(number) for number in range(LATER)])
        running.ended(SLOTS)
        running.statuses(lambda seen: sum(each["state"] == "DEFERRED" for each in seen.records) == LATER)
        for topic in ("notifications", "scheduled", "verdicts", "outbox"):
            asyncio.run(running.until_read(running.topics.topic(topic)))
        # Offsets that only pass transaction markers are committed within some seconds.
        asyncio.run(_until_calm(running))
        worker.stop()
        yield running


async def _until_calm(running: System) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            try:
                await repartition(running.settings, _new_settings(running.settings), _silent)
            except RepartitionError as error:
                # While a worker runs it is refused, with this as the one reason once everything has been read.
                if str(error).splitlines() == [f"1 workers are in the group {running.settings.app_id}: stop them"]:
                    return
            await asyncio.sleep(0.5)


def test_windows_ids_schedule_and_devices_go_along(kafka: str, prefix: str, tmp_path: Path) -> None:
    """Who was told within the hour is not told again, the same id is a duplicate, and what waits is sent once."""
    with _at_rest(kafka, prefix, tmp_path) as running:
        new = _successor(running)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "streams", "repartition", "--partitions", str(NEW)),
                *("--to-prefix", new.settings.topic_prefix, "--to-app-id", new.settings.app_id),
            ],
            env={**os.environ, **running.environment, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"{SLOTS:,} places of slots" in done.stdout
        assert f"{LATER} pending notifications ended in the old installation" in done.stdout

        moved_at = now_ms()
        new.worker("new-one")
        new.worker("new-two")
        new.wait_for_devices()
        produced = [event(f"user-{number:06d}", "order_ready", f"n{number}") for number in range(SLOTS)]
        produced += [event(f"user-{number:06d}", "order_ready", f"again{number}") for number in range(SLOTS)]
        produced.append(event("user-000050", "order_ready", "fresh"))
        asyncio.run(_produce(new, produced))
        statuses = asyncio.run(_follow(new, len(produced) + LATER))
        by_id = {each["notification_id"]: each for each in statuses if each["state"] not in ("ATTEMPTED", "SENDING")}
        assert {by_id[f"n{number}"]["state"] for number in range(SLOTS)} == {"DUPLICATE"}
        assert {by_id[f"again{number}"]["state"] for number in range(SLOTS)} == {"SUPPRESSED"}
        assert {by_id[f"again{number}"]["by_notification_id"] for number in range(SLOTS)} == {
            f"n{number}" for number in range(SLOTS)
        }
        assert {by_id[f"later{number}"]["state"] for number in range(LATER)} == {"ACCEPTED"}
        assert by_id["fresh"]["state"] == "ACCEPTED"

        old_ends = running.statuses(lambda seen: len(seen.final()) >= SLOTS + LATER)
        cancelled = [each for each in old_ends.records if each["state"] == "CANCELLED"]
        assert {each["notification_id"] for each in cancelled} == {f"later{number}" for number in range(LATER)}
        assert {each["reason"] for each in cancelled} == {f"moved to {new.topics.notifications}"}
        pushed = Path(running.simulators["log_file"])
        # What stands in the way of events of the first day may be on record in the old installation.
        for settings, since in ((running.settings, None), (new.settings, moved_at)):
            options = AuditOptions(since=since, complete=True)
            report, lines = asyncio.run(run_audit(settings, options, SECONDS_MAX))
            assert not report.violations, "\n".join(lines)
        told = [line for line in pushed.read_text(encoding="utf-8").splitlines() if '"later' in line]
        assert len(told) >= LATER


async def _produce(new: System, messages: list[Message]) -> None:
    await new.produce_to(new.topics.notifications, messages)


async def _follow(new: System, ends: int) -> list[dict[str, object]]:
    return (await new.follow(lambda seen: len(seen.final()) >= ends)).records


def test_what_cannot_be_is_refused_with_its_reason(kafka: str, prefix: str, tmp_path: Path) -> None:
    """Not a multiple, the same names, events that nobody has read: each is said, and nothing is written."""
    with system(kafka, prefix, tmp_path) as running:
        old, new = running.settings, _new_settings(running.settings)
        for changed, named in (
            ({"partitions": PARTITIONS + 1}, "--partitions: must be a multiple of 6"),
            ({"partitions": PARTITIONS}, "--partitions"),
            ({"topic_prefix": old.topic_prefix}, "--to-prefix"),
            ({"app_id": old.app_id}, "--to-app-id"),
        ):
            with pytest.raises(RepartitionError, match=named):
                asyncio.run(repartition(old, new.model_copy(update=changed), _silent))
        running.produce([event("user-000001", "order_ready", "unread")])
        with pytest.raises(RepartitionError, match=r"1 offsets of .*notifications are not read"):
            asyncio.run(repartition(old, new, _silent))


def test_a_crash_on_the_way(kafka: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the mark: it asks for a fresh start, and the old one is as it was. After it: what is left is done."""

    class CrashError(Exception):
        pass

    async def crash(*_: object) -> None:
        raise CrashError

    with _at_rest(kafka, prefix, tmp_path) as running:
        old, new = running.settings, _new_settings(running.settings)
        with monkeypatch.context() as broken:
            broken.setattr(move, "_mark", crash)
            with pytest.raises(CrashError):
                asyncio.run(repartition(old, new, _silent))
        with pytest.raises(RepartitionError, match="is not empty: delete the topics of the new installation"):
            asyncio.run(repartition(old, new, _silent))

        third = new.model_copy(update={"topic_prefix": f"{prefix}v3-", "app_id": f"{prefix}v3"})
        retired: list[object] = []

        async def once(*arguments: object) -> None:
            if len(retired) == 2:
                raise CrashError
            retired.append(arguments)
            await retire(*arguments)  # type: ignore[arg-type]  # as it was called

        with monkeypatch.context() as broken:
            broken.setattr(move, "retire", once)
            with pytest.raises(CrashError):
                asyncio.run(repartition(old, third, _silent))
        left: Moved = asyncio.run(repartition(old, third, _silent))
        assert (left.places, left.pending) == (0, 0)  # nothing is copied twice
        ends = running.statuses(lambda seen: len(seen.final()) >= SLOTS + LATER)
        cancelled = [each["notification_id"] for each in ends.records if each["state"] == "CANCELLED"]
        assert sorted(cancelled) == sorted(f"later{number}" for number in range(LATER))
        assert asyncio.run(repartition(old, third, _silent)).retired == 0
