"""Stories, decisions and explanations as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, get_args

from schemas.keys import partition_of, split_slot_key
from schemas.poison import DeadLetterCode
from streams.policies.explaining import Explanation, Origin, SlotState, Step, explain, origin_of
from streams.policies.foreseeing import Outlook
from streams.policies.local_time import iso_at
from streams.topics import TopicNames
from streams.web.notifications_view import status_url

CODES = frozenset(get_args(DeadLetterCode))


def story_document(
    slot: bytes, notification_id: str, steps: Sequence[Step], left_out: bool, topics: TopicNames, partitions: int
) -> dict[str, Any]:
    """Return the whole story of one id, the state of its event first."""
    user_id, type = split_slot_key(slot)
    origin = origin_of(steps)
    own = [step for step in steps if step.origin == origin]
    answers = [step for step in own if step.state == "ATTEMPTED"]
    return {
        "notification_id": notification_id,
        "user_id": user_id,
        "type": type,
        **event_document(notification_id, steps, origin, slot, topics, partitions),
        "attempts": max(step.attempt for step in own),
        "answers": [answer(step) for step in answers],
        "duplicates": sum(step.state == "DUPLICATE" for step in steps if step.origin != origin),
        "statuses": [status(step, topics) for step in steps],
        "statuses_left_out": left_out,
    }


def event_document(
    notification_id: str,
    steps: Sequence[Step],
    origin: Origin,
    slot: bytes,
    topics: TopicNames,
    partitions: int,
) -> dict[str, Any]:
    """Return where one event stands and why; `steps` are those of its id."""
    own = [step for step in steps if step.origin == origin]
    last = next((step for step in reversed(own) if step.state != "ATTEMPTED"), own[-1])
    letter = dead_letter(last, slot, topics, partitions) if last.state == "DEAD" else None
    return {
        "state": last.state,
        "reason": last.reason,
        **explanation_document(explain(notification_id, steps, origin), origin, topics),
        "dead_letter": letter,
    }


def explanation_document(told: Explanation, origin: Origin, topics: TopicNames) -> dict[str, Any]:
    """Return an explanation of one event."""
    return {
        "code": told.code,
        "sentence": f"{told.sentence}.",
        "final": told.final,
        "at": told.at,
        "until": told.until,
        "by_notification_id": told.by,
        "duplicate_of": None if told.of is None else place(topics.notifications, told.of),
        "event": place(topics.notifications, origin),
    }


def said_document(said: SlotState | Outlook) -> dict[str, Any]:
    """Return what blocks a slot, or what would happen to one sent now."""
    return {
        "code": said.code,
        "sentence": f"{said.sentence}.",
        "until": said.until,
        "by_notification_id": said.by,
    }


def place(topic: str, at: tuple[int, int]) -> dict[str, Any]:
    """Return a place on a topic."""
    return {"topic": topic, "partition": at[0], "offset": at[1]}


def status(step: Step, topics: TopicNames) -> dict[str, Any]:
    """Return one status with its place, and that of its event."""
    return {
        "state": step.state,
        "reason": step.reason,
        "at": step.at,
        "stage": step.stage,
        "attempt": step.attempt,
        "provider": step.provider,
        "device_id": step.device_id,
        "by_notification_id": step.by,
        "until": step.until,
        **place(topics.statuses, (step.partition, step.offset)),
        "event": place(topics.notifications, step.origin),
    }


def answer(step: Step) -> dict[str, Any]:
    """Return what a provider answered for a device: a status ATTEMPTED says `outcome: reason`."""
    outcome, _, reason = step.reason.partition(": ")
    return {
        "attempt": step.attempt,
        "provider": step.provider,
        "device_id": step.device_id,
        "outcome": outcome,
        "reason": reason,
        "at": step.at,
    }


def dead_letter(step: Step, slot: bytes, topics: TopicNames, partitions: int) -> dict[str, Any]:
    """Return where the dead letter is: in the partition of the lane that wrote it."""
    code, _, reason = step.reason.partition(": ")
    known = code in CODES
    user = slot.rpartition(b":")[0]
    return {
        "topic": topics.dead_letters,
        "partition": partition_of(user, partitions) if step.stage == "deliver" else step.partition,
        "code": code if known else None,
        "reason": reason if known else step.reason,
    }


def recent_document(
    slot: bytes, notification_id: str, steps: Sequence[Step], origin: Origin, topics: TopicNames, partitions: int
) -> dict[str, Any]:
    """Return one of a user's recent notifications, in short."""
    user_id, type = split_slot_key(slot)
    return {
        "notification_id": notification_id,
        "user_id": user_id,
        "type": type,
        **event_document(notification_id, steps, origin, slot, topics, partitions),
        "status_url": status_url(user_id, type, notification_id) if notification_id else None,
    }


def scheduled_event(pending: Mapping[str, Any], topics: TopicNames) -> dict[str, Any]:
    """Return what is to be said of one that the schedule has, and of which no status is kept any more."""
    is_retry = pending["kind"] == "retry"
    what = "waits for its next attempt, due at" if is_retry else "is scheduled for"
    return {
        "notification_id": pending["notification_id"],
        "state": "RETRYING" if is_retry else "DEFERRED",
        "reason": "it waits in the schedule for longer than its statuses are kept",
        "code": "RETRYING" if is_retry else "SCHEDULED",
        "sentence": f"{pending['notification_id']} {what} {iso_at(pending['due_at'], UTC)}.",
        "final": False,
        "at": None,
        "until": pending["due_at"],
        "by_notification_id": None,
        "duplicate_of": None,
        "event": place(topics.notifications, (pending["origin_partition"], pending["origin_offset"])),
        "dead_letter": None,
    }


def scheduled_document(pending: Mapping[str, Any], topics: TopicNames) -> dict[str, Any]:
    """Return the story of one that the schedule has, and of which no status is kept any more."""
    return {
        **scheduled_event(pending, topics),
        "user_id": pending["user_id"],
        "type": pending["type"],
        "attempts": pending.get("attempt", 0),
        "answers": [],
        "duplicates": 0,
        "statuses": [],
        "statuses_left_out": True,
    }
