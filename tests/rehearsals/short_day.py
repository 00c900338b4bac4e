"""The short day: everything that breaks within seconds and is mended within seconds, on one system."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import rocksdict

from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from streams.publish.messages import Message
from streams.stages.schedule_table import DEFERRALS
from tests.integration.system import PARTITIONS, end_by_force, event, forged, now_ms
from tests.rehearsals.prometheus_server import LOOK_SECONDS, until, until_it_holds
from tests.rehearsals.rehearsal import DATA_DIR, Stage, produce_to

# Twice 1.25 s are allowed between two workers, so this one is more than half of it off.
CLOCK_OFFSET_SECONDS = 1.6
USERS = [f"user-{number:06d}" for number in range(60)]
STORMS = [f"storm_{number}" for number in range(5)]
LEFT_OUT = "left_out"
LATER_SECONDS = 40
SETTINGS = {
    "HISTORY": "worker",
    "TEST_CLOCK_OFFSET_SECONDS": str(CLOCK_OFFSET_SECONDS),
    "DEAD_LETTERS_PER_MINUTE_MAX": "480",  # 20 for each lane
    "FCM_BREAKER_FAILURES": "8",
    "FCM_BREAKER_SECONDS_MAX": "5",
    "USER_SERVICE_BREAKER_SECONDS_MAX": "2",
}
TYPES = """
allow_unknown = false

[defaults]
profile = "none"
title = "{{ type }}"

[types.order_ready]
[types.refused]
[types.later]
[types.greeting]
profile = "required"
profile_wait_seconds = 120
title = "Hi {{ name }}"
""" + "".join(f"[types.{name}]\n" for name in STORMS)
TEMPLATE = 'version = "2"\ntitle = "Order {{ order }} is ready"\n'


class Looks(NamedTuple):
    """What must hold, within a while, when all is well, when much has failed, and when no worker is there."""

    while_well: Sequence[Callable[[Stage], None]] = ()
    at_the_worst: Sequence[Callable[[Stage], None]] = ()
    while_nobody_works: Sequence[Callable[[Stage], None]] = ()


NO_LOOKS = Looks()


def look(made: Stage, looks: Sequence[Callable[[Stage], None]]) -> None:
    """Wait until each of these holds: what Prometheus shows follows what happened by a scrape or two."""
    for holds in looks:
        until_it_holds(lambda: holds(made), made.worker.last_lines)  # noqa: B023 (used at once)


def play(made: Stage, looks: Looks = NO_LOOKS) -> None:
    """Play the whole day."""
    a_clock_that_is_ahead(made)
    look(made, looks.while_well)
    providers_users_templates(made, looks)
    letters_and_a_stranger(made)
    a_worker_that_is_killed_and_a_disk_that_forgets(made, looks)
    a_broker_that_does_not_answer(made)
    made.nothing_fires()


def a_clock_that_is_ahead(made: Stage) -> None:
    """Nothing else is wrong. The time service is mended: the worker has the right time."""
    since = time.monotonic()
    made.found.produce([event(user, "order_ready", f"{turn}-{user}") for turn in range(2) for user in USERS])
    made.found.ended(2 * len(USERS))
    made.fires(since, "RingonceClockSkew")
    assert made.server.firing() == {"RingonceClockSkew"}
    mended = time.monotonic()
    made.set(TEST_CLOCK_OFFSET_SECONDS="0")
    made.restart_worker()
    made.found.produce([event(user, "order_ready", f"2-{user}") for user in USERS])
    made.scraped()
    made.resolves(mended, "RingonceClockSkew")


def providers_users_templates(made: Stage, looks: Looks) -> None:
    """FCM is down, the others throttle, the user service is out of order, and a template is of no use, all at once."""
    since = time.monotonic()
    made.provider_fault("fcm", "unavailable", retry_after_seconds=None)
    for provider in ("apns", "webpush", "webhook"):
        made.provider_fault(provider, "throttle", retry_after_seconds=1.0)
    made.user_service.mood = "500"
    made.user_service.users |= {user: {"name": "Ada"} for user in USERS}
    produce_to(made, made.found.topics.templates, [broken_template()])
    made.found.produce([event(user, kind, f"{kind}-{user}") for kind in ("refused", *STORMS) for user in USERS])
    made.found.produce([event(user, "greeting", f"greeting-{user}") for user in USERS])
    made.fires(
        since,
        "RingonceProviderBreakerOpen",
        "RingonceUnknownShare",
        "RingonceRetrySpike",
        "RingonceUserServiceFails",
        "RingonceTemplatesRefused",
    )
    look(made, looks.at_the_worst)

    made.provider_mended("fcm", "apns", "webpush", "webhook")
    made.user_service.mood = "well"
    mended = time.monotonic()
    folder = made.found.directory / "templates"
    folder.mkdir()
    (folder / "order_ready.toml").write_text(TEMPLATE, encoding="utf-8")
    made.command("template", "publish", str(folder))
    made.resolves(
        mended,
        "RingonceProviderBreakerOpen",
        "RingonceUnknownShare",
        "RingonceRetrySpike",
        "RingonceUserServiceFails",
        "RingonceTemplatesRefused",
    )


def broken_template() -> Message:
    """A record that `ringonce template publish` would have refused."""
    variant = {"title": "{{ order", "data": {}}
    record = {"type": "order_ready", "version": "1", "variants": [variant], "published_at": now_ms()}
    return Message(b"order_ready", Codec().encode("Template", record))


def letters_and_a_stranger(made: Stage) -> None:
    """A type that the file does not have, records that are no Avro, and a status that no stage wrote."""
    since = time.monotonic()
    send_at = now_ms() + 1000 * LATER_SECONDS
    made.found.produce([event("user-000003", "later", "later-1", send_at=send_at, data={"order": "1"})])
    made.found.produce([event(user, LEFT_OUT, f"{LEFT_OUT}-{user}") for user in USERS[:30]])
    made.fires(since, "RingonceDeadLetters")
    since = time.monotonic()
    strangers = [forged(USERS[0], "order_ready", f"forged-{offset}", offset) for offset in (10**9, 10**9 + 1)]
    produce_to(made, made.found.topics.statuses, strangers)
    made.found.produce([Message(b"user-000001:order_ready", b"poison") for _ in range(60)])
    made.fires(since, "RingoncePromiseBroken", "RingonceDeadLettersPaused")
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert "broken: P1" in made.command("audit", "--since", an_hour_ago.isoformat(), code=1)


def a_worker_that_is_killed_and_a_disk_that_forgets(made: Stage, looks: Looks) -> None:
    """It starts again with a types file that is mended and a higher limit, on a disk that has lost a row."""
    since = time.monotonic()
    end_by_force(made.worker)
    made.fires(since, "RingonceWorkerDown")
    look(made, looks.while_nobody_works)
    lose_a_row(made)
    types = made.found.directory / "types.toml"
    types.write_text(types.read_text(encoding="utf-8") + f"[types.{LEFT_OUT}]\n", encoding="utf-8")
    mended = time.monotonic()
    made.set(DEAD_LETTERS_PER_MINUTE_MAX="60000")
    made.start_worker()
    made.scraped()
    made.resolves(mended, "RingonceWorkerDown", "RingoncePromiseBroken")
    made.fires(mended, "RingonceLedgerDiffers")
    replayed = made.command("dead-letters", "replay", "--code", "UNKNOWN_TYPE", "--limit", "100")
    assert replayed.count("replayed as") == 30, replayed
    made.resolves(mended, "RingonceDeadLettersPaused", "RingonceDeadLetters")


def lose_a_row(made: Stage) -> None:
    """Remove what is scheduled from the worker's own disk; the changelog has it still."""
    partition = partition_of(slot_key("user-000003", "later"), PARTITIONS)
    (path,) = made.data_dir.glob(f"**/schedule-{partition}.db")
    store = rocksdict.Rdict(str(path), options=rocksdict.Options(raw_mode=True))
    try:
        rows = [key for key in store.keys(from_key=DEFERRALS) if isinstance(key, bytes) and key.startswith(DEFERRALS)]
        assert len(rows) == 1
        del store[rows[0]]
    finally:
        store.close()


def a_broker_that_does_not_answer(made: Stage) -> None:
    """The data directory is moved away, as the runbook says; while the tables are built anew the broker freezes."""
    made.worker.stop()
    made.data_dir.rename(made.found.directory / f"{DATA_DIR}-moved-away")
    moved = time.monotonic()
    made.start_worker(ready=False)
    until(lambda: made.metrics() is not None, made.worker.last_lines)
    with made.frozen_broker():
        since = time.monotonic()
        shown = made.metrics()
        assert shown is not None and "ringonce_ready 0.0" in shown, "it was ready before the broker froze"
        made.fires(since, "RingonceNotReady")
    mended = time.monotonic()
    made.scraped()
    made.resolves(mended, "RingonceNotReady")
    until(
        lambda: made.server.value("count(ringonce_schedule_ledger_difference == 0)") is not None,
        made.worker.last_lines,
    )
    made.resolves(moved, "RingonceLedgerDiffers")
    time.sleep(LOOK_SECONDS)
    ended = made.found.statuses(lambda seen: seen.states("later-1")[-1:] == ["ACCEPTED"])
    assert ended.states("later-1")[0] == "DEFERRED", "what the disk had lost was in Kafka"
