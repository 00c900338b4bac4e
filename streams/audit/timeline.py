"""A violation in full: every record of its slot, from every topic, in the order of time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from schemas.codec import Codec
from schemas.keys import partition_of
from schemas.notification import read_slot
from schemas.poison import PoisonError
from streams.audit.auditor import split_state_key
from streams.audit.reading import TopicReader, read_push_log
from streams.audit.rows import Violation
from streams.settings import Settings, kafka_client_options
from streams.stages.delivery_rows import STATE_PREFIX
from streams.stages.slots_table import PLACE_PREFIX
from streams.topics import TopicNames

NAMES = {
    "notifications": ("Notification",),
    "due": ("Due",),
    "scheduled": ("Deferral", "Retry", "Cancel", "Move", "Forget"),
    "answers": ("ScheduleAnswer", "ForgetAnswer"),
    "outbox": ("Delivery", "LocalDeferral"),
    "outbox-bulk": ("Delivery",),
    "statuses": ("Status",),
    "verdicts": ("Verdict", "Deferral", "Forget"),
}


class Line(NamedTuple):
    """One record of the timeline."""

    at: int
    place: str
    text: str


async def timeline(violation: Violation, settings: Settings, codec: Codec, push_log: Path | None) -> list[str]:
    """Read the record once more and return its lines for this violation, those that it names marked with `>`."""
    names = TopicNames.of(settings)
    lines: list[Line] = []
    async with TopicReader(kafka_client_options(settings)) as reader:
        slot = violation.slot
        if slot is None and violation.origin is not None:
            slot = await _slot_at(reader, names.topic("notifications"), *violation.origin)
        if slot is None:
            return [violation.sentence]
        partition = partition_of(slot, settings.partitions)
        of_user = partition_of(slot.rpartition(b":")[0], settings.partitions)
        wanted = [
            (names.topic(name), of_user if name.startswith("outbox") else partition, NAMES[name]) for name in NAMES
        ]
        wanted += [(names.changelog("deliveries"), of_user, ()), (names.changelog("slots"), partition, ())]
        if violation.origin is not None and violation.origin[0] != partition:
            wanted.append((names.topic("notifications"), violation.origin[0], NAMES["notifications"]))
        for topic, number, kinds in wanted:
            start = (await reader.starts(topic, settings.partitions, None))[number]
            end = (await reader.ends(topic, settings.partitions))[number]
            async for records in reader.read(topic, number, start, end):
                for record in records:
                    text = _text(record, slot, kinds, codec)
                    if text is not None:
                        lines.append(Line(record.timestamp, f"{topic}-{number}@{record.offset}", text))
    if push_log is not None:
        # A push names no user; an id that two users share shows the pushes of both.
        seen = {line.text.split(" ", 2)[1] for line in lines if line.text.startswith("Status ")}
        lines += [
            Line(
                push.at, push.place, f"PUSH {push.notification_id} accepted by {push.provider} for {push.address[:24]}"
            )
            for push in read_push_log(push_log)
            if push.notification_id in seen
        ]
    return _written(violation, slot, sorted(lines))


async def _slot_at(reader: TopicReader, topic: str, partition: int, offset: int) -> bytes | None:
    async for records in reader.read(topic, partition, offset, offset + 1):
        key: bytes | None = records[0].key
        return key
    return None


def _text(record: Any, slot: bytes, kinds: tuple[str, ...], codec: Codec) -> str | None:
    key = record.key or b""
    if not kinds:
        return _row_text(record, slot, key, codec)
    if key not in (slot, slot.rpartition(b":")[0]):
        return None
    try:
        name, said = codec.decode(record.value, kinds)
    except PoisonError as error:
        return f"{error.code}: {error.reason}"
    if name in ("Forget", "ForgetAnswer"):
        return f"{name} {said['user_id']} removed={said['removed']} kept={said['kept']}"
    inner: dict[str, Any] = said.get("delivery") or said
    notification: dict[str, Any] = inner.get("notification") or inner
    if notification["type"].encode() != slot.rpartition(b":")[2]:
        return None
    shown = {
        field: value
        for field, value in {**inner, **said}.items()
        if field not in ("notification", "delivery", "user_id", "type", "title", "body", "data", "notification_id")
        and value is not None
    }
    return f"{name} {notification['notification_id']} " + " ".join(f"{key}={_value(key, shown[key])}" for key in shown)


def _row_text(record: Any, slot: bytes, key: bytes, codec: Codec) -> str | None:
    if key.startswith(STATE_PREFIX) and record.topic.endswith("-deliveries-changelog"):
        of_slot, notification_id = split_state_key(key)
        if of_slot != slot:
            return None
        if record.value is None:
            return f"row {notification_id} removed"
        state = codec.decode(record.value, ("DeliveryState",)).record
        claims = "; ".join(
            f"{claim['device_id']} attempt {claim['attempt']} {claim['phase']} "
            f"at {_instant(claim['at'])} {claim['reason']}"
            for claim in state["claims"]
        )
        return f"row {notification_id} concluded={state['concluded']}: {claims}"
    if key.partition(b"\0")[0] == PLACE_PREFIX + slot:
        if record.value is None:
            return "place removed"
        place = read_slot(record.value)
        until = _instant(place.blocked_until)
        return f"place {place.notification_id.decode()} {place.phase} until {until}, send_by {_instant(place.send_by)}"
    return None


def _written(violation: Violation, slot: bytes, lines: list[Line]) -> list[str]:
    written = [f"slot {slot.decode(errors='replace')}; > marks what it is about"]
    for line in lines:
        mark = ">" if any(each in line.text for each in violation.notification_ids) else " "
        written.append(
            f"{mark} {_instant(line.at)} {(line.at - violation.at) / 1000:+9.3f} s  {line.place}  {line.text}"
        )
    return written


def _value(name: str, value: Any) -> str:
    return (
        _instant(value) if name == "until" or name == "send_by" or name.endswith("_at") or name == "at" else str(value)
    )


def _instant(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
