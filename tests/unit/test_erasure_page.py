"""What is said about an erasure: the page names every topic, and the answer every kind."""

from __future__ import annotations

import json
import re
from pathlib import Path

from schemas.records import ForgetAnswer
from streams.history.erasing import MARKS_KEPT_MS
from streams.history.schema import ERASED_EVENTS, ERASED_USERS, TABLES
from streams.publish.erasure_document import KEPT, REMOVED, erasure_document
from streams.publish.schedule_commands import Forgotten
from streams.settings import load_settings
from streams.topics import STREAMS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "erasure.md").read_text(encoding="utf-8")
DAY_MS = 24 * 3_600_000


def answer(stage: str, partition: int, removed: dict[str, int], kept: dict[str, int], at: int | None) -> ForgetAnswer:
    """What one partition says."""
    return {
        "request_id": "r",
        "user_id": "u",
        "stage": stage,
        "partition": partition,
        "at": 1,
        "removed": removed,
        "kept": kept,
        "slots_kept_until": at,
    }


def test_the_page_has_each_topic_that_may_hold_a_user() -> None:
    """With the time for which it keeps its records; `templates` are nobody's."""
    said = dict(re.findall(r"^\| `([a-z-]+)` \| (\d+ days?|\d+ hours?|compacted: a tombstone) \|$", PAGE, re.MULTILINE))
    wanted = {}
    for spec in STREAMS:
        if spec.retention_ms is None:
            wanted[spec.name] = "compacted: a tombstone"
        else:
            hours, days = spec.retention_ms // 3_600_000, spec.retention_ms // DAY_MS
            wanted[spec.name] = f"{days} days" if days else f"{hours} hour"
    del wanted["templates"]
    assert said == wanted


def test_the_page_and_the_contract_name_each_kind() -> None:
    """What is counted is explained, for people and in the contract of the answer."""
    contract = json.loads((ROOT / "schemas" / "avsc" / "forget_answer.avsc").read_text(encoding="utf-8"))
    docs = {field["name"]: field["doc"] for field in contract["fields"]}
    for field, kinds in (("removed", REMOVED), ("kept", KEPT)):
        for kind in kinds:
            assert kind in docs[field]
            assert f"`{kind}`" in PAGE


def test_the_page_says_what_stays_in_the_history() -> None:
    """Each table of marks, and for how long they stay; longer than anything is on `statuses`."""
    _, _, section = PAGE.partition("## The history\n")
    section = section.partition("\n## ")[0]
    for table in (ERASED_USERS, ERASED_EVENTS):
        assert f"| `{table.name}` |" in section
    assert f"for {MARKS_KEPT_MS // DAY_MS}\ndays" in section
    (statuses,) = [spec for spec in STREAMS if spec.name == "statuses"]
    # A segment is closed after a week at the latest, and goes when its youngest record is old enough.
    assert statuses.retention_ms is not None
    assert 2 * statuses.retention_ms < MARKS_KEPT_MS
    history = (ROOT / "docs" / "history.md").read_text(encoding="utf-8")
    for table in TABLES:
        assert f"`{table.name}`" in history
    assert f"stay for {MARKS_KEPT_MS // DAY_MS} days" in history


def test_the_document_adds_up_what_the_partitions_say() -> None:
    """By kind, with zeros; until when slots stay is the latest of what they say."""
    answers = [
        answer("suppress", 0, {"slots": 1}, {"slots": 2}, 500),
        answer("suppress", 1, {}, {"slots": 1}, 700),
        answer("schedule", 1, {"pending": 3}, {}, None),
    ]
    found = erasure_document("u", Forgotten("r", answers, [("schedule", 0)], 4), load_settings())
    assert found["removed"] == {**dict.fromkeys(REMOVED, 0), "pending": 3, "slots": 1}
    assert found["kept"] == {**dict.fromkeys(KEPT, 0), "slots": 3}
    assert found["slots_kept_until"] == 700
    assert (found["complete"], found["unread"]) == (False, 4)
    assert found["not_answered"] == [{"stage": "schedule", "partition": 0}]
    assert [(each["stage"], each["partition"]) for each in found["partitions"]] == [
        ("schedule", 1),
        ("suppress", 0),
        ("suppress", 1),
    ]


def test_nothing_is_what_nobody_has_of_a_user() -> None:
    """A kind that a newer worker counts is shown as well."""
    found = erasure_document("u", Forgotten("r", [answer("deliver", 0, {"dreams": 1}, {}, None)], []), load_settings())
    assert found["removed"] == {**dict.fromkeys(REMOVED, 0), "dreams": 1}
    assert (found["complete"], found["slots_kept_until"]) == (True, None)
