"""broadcast on partitions of its own: who is told, how often, how fast, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.keys import partition_of, slot_key
from streams.stages import broadcast_book, broadcast_tell
from streams.stages.broadcast import REMOVED_MAX
from tests.simulation.broadcast_world import FAST, START, TOPICS, Broadcasts
from tests.simulation.tables import folded_rows, local_rows

HOUR_MS = 3_600_000
FREE = {"plan": "free", "age": "unknown"}
PRO = {"plan": "pro", "age": "21"}
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Broadcasts]:
    """One partition with a hundred users."""
    world = Broadcasts(tmp_path)
    for number in range(100):
        world.register(f"user-{number:03d}")
    yield world
    world.close()


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Broadcasts]:
    """Three partitions with a hundred users."""
    world = Broadcasts(tmp_path, 3)
    for number in range(100):
        world.register(f"user-{number:03d}")
    yield world
    world.close()


USERS = {f"user-{number:03d}" for number in range(100)}


def test_everybody_is_told_once_and_the_totals_say_so(three: Broadcasts) -> None:
    """Each copy has the id of the broadcast, its content, and the partition of its slot; totals come once."""
    three.start("b", title="Hello", data={"a": "1"}, expires_at=START + HOUR_MS, send_at_local="2030-01-01T08:00")
    three.run()
    assert three.told("b") == dict.fromkeys(USERS, 1)
    for (topic, partition), records in three.log.partitions.items():
        if topic == TOPICS.notifications:
            for record in records:
                assert record is None or record.key is None or partition_of(record.key, 3) == partition
    copies = three.read(TOPICS.notifications, "Notification")
    assert {copy["title"] for copy in copies} == {"Hello"}
    assert all(copy["created_at"] == START and copy["expires_at"] == START + HOUR_MS for copy in copies)
    assert all(copy["data"] == {"a": "1"} and copy["send_at_local"] == "2030-01-01T08:00" for copy in copies)
    keys = {record.key for record in three.log.records(TOPICS.notifications)}
    assert keys == {slot_key(user, "t") for user in USERS}
    (total,) = three.totals("b")
    assert (total["state"], total["seen"], total["matched"], total["emitted"], total["users"]) == ("DONE", *[100] * 4)
    assert sum(each["emitted"] for each in three.reports("b") if each["state"] == "DONE") == 100


def test_who_has_no_device_is_not_told(one: Broadcasts) -> None:
    """An empty list of devices is nobody that could be told; an erased one neither."""
    one.register("user-000", ())
    one.remove("user-001")
    one.start("b")
    one.run()
    assert set(one.told("b")) == USERS - {"user-000", "user-001"}
    (total,) = one.totals("b")
    assert (total["seen"], total["matched"], total["not_matched"]) == (99, 98, 1)


@pytest.mark.parametrize(
    ("filter", "told"),
    [
        ("provider = 'fcm'", {"user-001", "user-002"}),
        ("provider = 'fcm' and provider = 'apns'", {"user-002"}),
        ("devices >= 2", {"user-002"}),
        ("language = 'de'", {"user-003", "user-004"}),
        ("locale = 'de-AT'", {"user-003"}),
        ("time_zone = 'Europe/Vienna'", {"user-003"}),
        ("user_id in ('user-007', 'user-008', 'nobody')", {"user-007", "user-008"}),
        ("exists locale and not locale in ('de-AT', 'fr')", {"user-004"}),
        ("locale = 'fr' and time_zone = 'Europe/Paris'", {"user-005"}),
        ("time_zone = 'Europe/Paris'", {"user-004", "user-005"}),
        ("name = 'Ada'", {"user-004"}),
        ("profile.plan = 'pro'", {"user-005"}),
        ("profile.age >= 18 and profile.age < 100", {"user-005"}),
        ("exists profile.plan and not profile.plan = 'pro'", {"user-004"}),
    ],
)
def test_a_filter_over_what_is_known_of_users(one: Broadcasts, filter: str, told: set[str]) -> None:
    """Those are told that it is true for, and the others are counted; what the user prefers wins over the profile."""
    one.register("user-001", ("FCM",))
    one.register("user-002", ("FCM", "APNS"))
    one.prefer("user-003", {"user_id": "user-003", "locale": "de-AT", "time_zone": "Europe/Vienna"})
    one.prefer("user-004", {"user_id": "user-004", "locale": "DE_de"})
    paris = "Europe/Paris"
    one.describe("user-004", {"user_id": "user-004", "name": "Ada", "locale": "it", "time_zone": paris, "fields": FREE})
    one.describe("user-005", {"user_id": "user-005", "locale": "fr", "time_zone": paris, "fields": PRO})
    one.start("b", "FILTER", filter=filter)
    one.run()
    assert set(one.told("b")) == told
    (total,) = one.totals("b")
    assert (total["matched"], total["not_matched"]) == (len(told), 100 - len(told))


def test_buckets_part_the_users(one: Broadcasts) -> None:
    """A tenth and the rest are everybody, and nobody is in both."""
    one.start("few", "FILTER", filter="bucket < 10")
    one.start("rest", "FILTER", filter="bucket >= 10")
    one.run()
    few, rest = set(one.told("few")), set(one.told("rest"))
    assert few | rest == USERS and not few & rest and few


def test_a_list_is_told_in_full_and_each_once(three: Broadcasts) -> None:
    """Whoever is named twice, in one record or in two, is told once; whoever has no device is told too, and ends so."""
    three.list_users("b", ["x", "user-001", "user-001"])
    three.list_users("b", ["user-001", "ü", "x"])
    three.run()
    assert three.told("b") == {}
    three.start("b", "LIST")
    three.run()
    assert three.told("b") == {"x": 1, "user-001": 1, "ü": 1}
    (total,) = three.totals("b")
    assert (total["state"], total["users"], total["seen"], total["emitted"]) == ("DONE", 3, 3, 3)
    three.list_users("b", ["late"])
    three.run()
    assert set(three.told("b")) == {"x", "user-001", "ü"}
    assert all(not key.startswith(b"l") for stage in three.stages for key in local_rows(three.table, stage.partition))


def test_a_list_that_comes_with_its_start_is_complete(one: Broadcasts) -> None:
    """Taken in the same step as the start, its rows are told all the same."""
    one.list_users("b", ["x", "y"])
    one.start("b", "LIST")
    one.run()
    assert one.told("b") == {"x": 1, "y": 1}


def test_a_list_without_anybody_is_done(three: Broadcasts) -> None:
    """Nobody is told, and the totals say so."""
    three.start("b", "LIST")
    three.run()
    (total,) = three.totals("b")
    assert (total["state"], total["users"], total["emitted"]) == ("DONE", 0, 0)


def test_the_same_id_again_is_the_same_broadcast(one: Broadcasts) -> None:
    """While it runs and after it, whatever the second one says."""
    one.start("b", per_second=10)
    one.step()
    one.start("b", title="another")
    one.run()
    one.run(20_000)
    one.start("b", title="another")
    one.run(20_000)
    assert one.told("b") == dict.fromkeys(USERS, 1)
    assert len(one.totals("b")) == 1


def test_a_dry_run_counts_and_tells_nobody(three: Broadcasts) -> None:
    """However slow its pace would be."""
    three.start("b", "FILTER", filter="bucket < 50", dry_run=True, per_second=1)
    three.run()
    assert three.told("b") == {}
    (total,) = three.totals("b")
    assert total["dry_run"] and (total["seen"], total["emitted"]) == (100, 0)
    assert 0 < total["matched"] < 100
    assert [decider.teller.difference for decider in three.deciders] == [0, 0, 0]


def test_the_pace_is_kept(three: Broadcasts) -> None:
    """Any second sees at most twice the pace, the first with nothing saved up; all are told in the end.

    0 s  1 s  2 s  …
    0    10   20        at 10 a second over three partitions
    """
    three.start("b", per_second=10)
    told = []
    for _ in range(150):
        three.run(100)
        told.append(sum(three.told("b").values()))
    assert told[-1] == 100
    assert all(later - earlier <= 20 for earlier, later in zip(told, told[10:], strict=False))
    assert told[9] <= 11 and 40 <= told[59] <= 63


def test_pause_resume_cancel(three: Broadcasts) -> None:
    """Paused, nobody is told; resumed, the next ones are; cancelled, nobody any more; each command is answered."""
    three.start("b", per_second=12)
    three.run()
    three.run(2_000)
    before = sum(three.told("b").values())
    paused = three.control("b", "PAUSE")
    three.run()
    three.run(HOUR_MS)
    assert 0 < sum(three.told("b").values()) == before
    resumed = three.control("b", "RESUME")
    three.run()
    assert sum(three.told("b").values()) == before, "nothing was saved up in the pause"
    three.run(2_000)
    after = sum(three.told("b").values())
    assert before < after < 100
    cancelled = three.control("b", "CANCEL")
    again = three.control("b", "RESUME")
    three.run()
    three.run(HOUR_MS)
    assert sum(three.told("b").values()) == after
    answers: dict[str, set[tuple[int, str]]] = {r: set() for r in (paused, resumed, cancelled, again)}
    for each in three.reports("b"):
        if each["request_id"]:
            answers[each["request_id"]].add((each["partition"], each["state"]))
    states = {paused: "PAUSED", resumed: "RUNNING", cancelled: "CANCELLED", again: "CANCELLED"}
    assert answers == {request: {(number, state) for number in range(3)} for request, state in states.items()}
    (total,) = three.totals("b")
    assert (total["state"], total["emitted"]) == ("CANCELLED", after)
    assert "ops" in total["reason"]


def test_a_command_for_nothing_known_is_answered(one: Broadcasts) -> None:
    """With UNKNOWN_ID."""
    request = one.control("nothing", "CANCEL")
    one.run()
    (answer,) = one.reports("nothing")
    assert (answer["state"], answer["request_id"]) == ("UNKNOWN_ID", request)


def test_what_is_of_no_use_any_more_is_not_told(one: Broadcasts) -> None:
    """It ends as EXPIRED, also while it is paused."""
    one.start("slow", per_second=1, expires_at=START + 10_000)
    one.start("paused", per_second=1, expires_at=START + 10_000)
    one.control("paused", "PAUSE")
    one.start("late", expires_at=START)
    one.run(20_000)
    assert 0 < sum(one.told("slow").values()) <= 11
    assert one.told("late") == one.told("paused") == {}
    assert [one.totals(name)[0]["state"] for name in ("slow", "paused", "late")] == ["EXPIRED"] * 3


def test_a_list_that_nobody_starts_is_thrown_away(three: Broadcasts) -> None:
    """After a day, with its rows; a start that comes later still ends everywhere."""
    three.list_users("b", ["x", "y", "z"])
    three.run()
    three.run(DAY_MS)
    assert not any(key.startswith(b"l") for stage in three.stages for key in local_rows(three.table, stage.partition))
    three.start("b", "LIST")
    three.run()
    assert three.told("b") == {}
    (total,) = three.totals("b")
    assert (total["state"], total["emitted"]) == ("CANCELLED", 0)


def test_a_broadcast_that_nobody_resumes_is_cancelled(one: Broadcasts) -> None:
    """After a week."""
    one.start("b", per_second=1)
    one.control("b", "PAUSE")
    one.run()
    one.run(broadcast_book.PAUSED_MS_MAX)
    (total,) = one.totals("b")
    assert (total["state"], total["reason"]) == ("CANCELLED", "paused for a week")


def test_what_cannot_be_begun_is_refused(one: Broadcasts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A type that the types file does not know would be a million dead letters; too many at once are too many."""
    monkeypatch.setattr(broadcast_book, "UNFINISHED_MAX", 1)
    one.start("unknown", type="other")
    one.start("first", per_second=1)
    one.start("second")
    one.list_users("third", ["x"])
    one.run()
    assert [one.totals(name)[0]["state"] for name in ("unknown", "second")] == ["REFUSED", "REFUSED"]
    assert "other" in one.totals("unknown")[0]["reason"]
    assert one.told("second") == {}
    (letter,) = one.read(TOPICS.dead_letters, "DeadLetter")
    assert letter["reason"].startswith("broadcast_id: ")


def test_it_waits_for_delivery_and_for_its_directory(one: Broadcasts) -> None:
    """Nothing is told meanwhile, and it says what it waits for."""
    one.is_here = False
    one.start("b")
    one.run()
    one.run(5_000)
    assert one.told("b") == {}
    assert "another worker" in one.deciders[0].book.unfinished["b"].waits_for
    one.is_here, one.is_behind = True, True
    one.run(5_000)
    assert one.told("b") == {}
    assert "behind" in one.deciders[0].book.unfinished["b"].waits_for
    one.is_behind = False
    one.run(5_000)
    assert set(one.told("b")) == USERS


def test_poison_goes_to_the_dead_letters(one: Broadcasts) -> None:
    """With the reason, and what comes after it is worked on."""
    good = {"broadcast_id": "b", "type": "t", "requested_at": 1, "requested_by": "", "audience": "ALL"}
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("Broadcast", {**good, "filter": "bucket = 1"}, "filter: must be given"),
        ("Broadcast", {**good, "audience": "FILTER"}, "filter: must be given"),
        ("Broadcast", {**good, "audience": "FILTER", "filter": "bukket = 1"}, "did you mean bucket?"),
        ("Broadcast", {**good, "type": "a:b"}, "type"),
        ("Broadcast", {**good, "per_second": 0}, "per_second"),
        ("Broadcast", {**good, "send_at_local": "soon"}, "send_at_local"),
        ("Broadcast", {**good, "time_zone": "Mars/Olympus"}, "time_zone"),
        ("Broadcast", {**good, "send_at": 1, "send_at_local": "2030-01-01T08:00"}, "both given"),
        ("Broadcast", {**good, "expires_at": 10**16}, "expires_at"),
        ("Broadcast", {**good, "body": "x" * 70_000}, "at most 65,536"),
        ("Broadcast", {**good, "broadcast_id": "x" * 129}, "broadcast_id has 129 bytes"),
        ("BroadcastUsers", {"broadcast_id": "b", "users": ["x"] * 1_001}, "at most 1,000"),
        ("BroadcastUsers", {"broadcast_id": "b", "users": ["x" * 257]}, "257 bytes"),
        ("BroadcastReport", {**_report("b"), "partition": None}, "how one partition has ended"),
        ("BroadcastReport", {**_report("b"), "partition": 70_000}, "how one partition has ended"),
        ("BroadcastReport", {**_report("b"), "state": "RUNNING"}, "how one partition has ended"),
    ]
    for contract, record, _ in wrong:
        one.write(0, contract, record)
    one.log.append(TOPICS.broadcasts, 0, b"b", b"garbage", [])
    one.log.append(TOPICS.broadcasts, 0, b"b", None, [])
    one.start("b")
    one.run()
    reasons = [letter["reason"] for letter in one.read(TOPICS.dead_letters, "DeadLetter")]
    assert len(reasons) == len(wrong) + 2
    assert all(part in reason for (_, _, part), reason in zip(wrong, reasons, strict=False))
    assert set(one.told("b")) == USERS


def _report(name: str) -> dict[str, Any]:
    counts = dict.fromkeys(("seen", "matched", "not_matched", "emitted"), 0)
    return {"broadcast_id": name, "partition": 0, "state": "DONE", "reason": "", "at": START, **counts}


def test_what_ended_is_forgotten(three: Broadcasts) -> None:
    """After a week nothing is left, of a list of many users neither; what nobody completes is forgotten later."""
    three.list_users("many", [f"listed-{number}" for number in range(900)])
    three.list_users("many", [f"more-{number}" for number in range(900)])
    three.start("many", "LIST")
    three.start("b")
    three.write(1, "BroadcastReport", _report("never complete"))
    three.run()
    assert sum(three.told("many").values()) == 1_800
    three.run(broadcast_book.ENDED_MS_MAX)
    for stage in three.stages:
        assert {key[:1] for key in folded_rows(three.table, three.log, stage.partition)} <= {b"t"}
    three.run(30 * DAY_MS)
    for stage in three.stages:
        assert folded_rows(three.table, three.log, stage.partition) == {}
        assert local_rows(three.table, stage.partition) == {}


def test_so_many_ends_are_remembered(one: Broadcasts, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the oldest are forgotten first."""
    monkeypatch.setattr(broadcast_book, "ENDED_MAX", 3)
    for number in range(6):
        one.start(f"b{number}")
        one.run(10)
    assert list(one.deciders[0].book.ended) == ["b3", "b4", "b5"]


def test_a_long_list_is_told_and_removed_in_portions(one: Broadcasts) -> None:
    """No step tells or removes more than so many."""
    users = [f"listed-{number:05d}" for number in range(5_000)]
    for start in range(0, 5_000, 1_000):
        one.list_users("b", users[start : start + 1_000])
    one.start("b", "LIST")
    sizes, removed = [], []
    while one.stages[0].has_work():
        one.now += 10
        told, rows = len(one.log.records(TOPICS.notifications)), one.table.count(0, b"l", b"m", 10**9)[0]
        one.step(records_max=2)
        sizes.append(len(one.log.records(TOPICS.notifications)) - told)
        removed.append(rows - one.table.count(0, b"l", b"m", 10**9)[0])
    assert one.told("b") == dict.fromkeys(users, 1)
    assert max(sizes) == broadcast_tell.SEEN_MAX and max(removed) == REMOVED_MAX
    assert one.table.count(0, b"l", b"m", 10)[0] == 0


def test_users_are_counted_beside_a_slow_pace(one: Broadcasts) -> None:
    """So that there is an estimate long before the end."""
    one.start("b", per_second=1)
    one.run()
    assert one.progress("b").users == 100
    assert one.progress("b").counts.seen <= 2


def test_looking_at_users_has_a_pace_of_its_own(one: Broadcasts) -> None:
    """However many dry runs and filters there are at once, and each of them gets its share."""
    for number in range(100, 9_000):
        one.register(f"user-{number:05d}")
    one.start("dry", dry_run=True)
    one.start("few", "FILTER", filter="user_id = 'user-08999'")
    one.run(500)
    seen = [one.progress(name).counts.seen for name in ("dry", "few")]
    assert 0.8 * 5_000 <= sum(seen) <= 5_000 + broadcast_tell.LOOKS_BURST_SECONDS * broadcast_tell.LOOKS_PER_SECOND_MAX
    assert abs(seen[0] - seen[1]) <= broadcast_tell.SEEN_MAX
    one.run(2_000)
    assert (one.totals("dry")[0]["matched"], one.totals("few")[0]["emitted"]) == (9_000, 1)


def test_several_go_on_side_by_side(one: Broadcasts) -> None:
    """A fast one does not make a slow one wait for its end."""
    for number in range(100, 6_000):
        one.register(f"user-{number:05d}")
    one.start("long", per_second=FAST)
    one.start("other", per_second=FAST)
    while not one.totals("other") and one.stages[0].has_work():
        one.step()
        one.now += 10
    assert abs(one.progress("long").counts.seen - one.progress("other").counts.seen) <= broadcast_tell.SEEN_MAX
