"""Lines of JSON or CSV as Kafka messages, or as a sentence that says what is wrong with them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from schemas.codec import Codec
from schemas.keys import check_notification_id, check_user_id, slot_key
from schemas.poison import PoisonError
from streams.publish.lines import (
    EventFields,
    EventLine,
    PreferencesFields,
    PreferencesLine,
    ProfileFields,
    ProfileLine,
    UserDevicesLine,
    read_line,
)
from streams.stages.directory_rows import check_devices, check_preferences, check_profile
from streams.topics import RECORD_BYTES_MAX

RECORD_OVERHEAD_BYTES = 128  # What Kafka adds to a key and a value, generously.
EVENT_FIELDS = tuple(EventFields.model_fields)
DATA_COLUMN = "data."  # The CSV column `data.name` is the value `name` of `data`.


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to Kafka; a value of None is a tombstone."""

    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that is not published. `line` counts from 1."""

    line: int
    reason: str


class Encoder:
    """Turns what people write into messages for one topic. `now_ms` stands in for instants that are not given.

    `complete` fills in what an event leaves open, and raises ValueError where it cannot.
    """

    def __init__(
        self,
        codec: Codec,
        topic: str,
        now_ms: Callable[[], int],
        complete: Callable[[dict[str, Any]], None] = lambda event: None,
    ) -> None:
        self._codec = codec
        self._topic = topic
        self._now_ms = now_ms
        self._complete = complete

    def event(self, values: dict[str, Any]) -> Message:
        """A message for `notifications`. Raises ValueError with a sentence."""
        line = read_line(EventLine, values)
        return self.of_event(line.notification_id, line)

    def of_event(self, notification_id: str, event: EventFields) -> Message:
        """As `event`, of one that was read. Raises ValueError with a sentence."""
        record = {name: getattr(event, name) for name in EVENT_FIELDS}
        record["notification_id"] = notification_id
        record["created_at"] = self._now_ms() if event.created_at is None else event.created_at
        try:
            check_notification_id(notification_id.encode())
            key = slot_key(event.user_id, event.type)
        except PoisonError as error:
            raise ValueError(error.reason) from None
        self._complete(record)
        return self._message(key, "Notification", record)

    def devices(self, values: dict[str, Any]) -> Message:
        """A message for `devices`. Raises ValueError with a sentence."""
        line = read_line(UserDevicesLine, values)
        try:
            check_user_id(line.user_id.encode())
        except PoisonError as error:
            raise ValueError(error.reason) from None
        if line.devices is None:
            return Message(line.user_id.encode(), None)
        if len({device.device_id for device in line.devices}) < len(line.devices):
            raise ValueError("devices: two have the same device_id")
        record = line.model_dump()
        check_devices(record["devices"])
        for device in record["devices"]:
            if device["registered_at"] is None:
                device["registered_at"] = self._now_ms()
        return self._message(line.user_id.encode(), "Devices", record)

    def preferences(self, values: dict[str, Any]) -> Message:
        """A message for `preferences`; a line with `erase` removes them. Raises ValueError with a sentence."""
        line = read_line(PreferencesLine, values)
        if line.erase:
            return Message(line.user_id.encode(), None)
        return self.of_preferences(line.user_id, line)

    def of_preferences(self, user_id: str, wishes: PreferencesFields) -> Message:
        """As `preferences`, of what was read. Raises ValueError with a sentence."""
        record = {**wishes.model_dump(exclude={"erase"}), "user_id": user_id}
        try:
            check_user_id(user_id.encode())
            message = self._message(user_id.encode(), "Preferences", record)
            check_preferences(self._codec.decode(message.value, ("Preferences",)).record)
        except PoisonError as error:
            raise ValueError(error.reason) from None
        return message

    def profile(self, values: dict[str, Any]) -> Message:
        """A message for `profiles`; a line with `erase` removes it. Raises ValueError with a sentence."""
        line = read_line(ProfileLine, values)
        message = self.of_profile(line.user_id, line)
        return Message(message.key, None) if line.erase else message

    def of_profile(self, user_id: str, profile: ProfileFields) -> Message:
        """As `profile`, of what was read. Raises ValueError with a sentence."""
        record = {**profile.model_dump(exclude={"erase"}), "user_id": user_id}
        if profile.updated_at is None:
            record["updated_at"] = self._now_ms()
        try:
            check_user_id(user_id.encode())
            check_profile(record)
        except PoisonError as error:
            raise ValueError(error.reason) from None
        return self._message(user_id.encode(), "Profile", record)

    def _message(self, key: bytes, name: str, record: dict[str, Any]) -> Message:
        value = self._codec.encode(name, record, self._topic)
        if len(key) + len(value) + RECORD_OVERHEAD_BYTES > RECORD_BYTES_MAX:
            raise ValueError(f"has {len(value):,} bytes, Kafka takes {RECORD_BYTES_MAX:,} at most")
        return Message(key, value)


def json_lines(lines: Iterable[str], encode: Callable[[dict[str, Any]], Message]) -> Iterator[Message | Refused]:
    """One message or refusal for each line that is not empty."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            if not isinstance(values, dict):
                raise ValueError("must be a JSON object")
            yield encode(values)
        except json.JSONDecodeError as error:
            yield Refused(number, f"is not JSON: {error.msg} at column {error.colno}")
        except (ValueError, RecursionError) as error:
            yield Refused(number, str(error))


def csv_lines(lines: Iterable[str], encode: Callable[[dict[str, Any]], Message]) -> Iterator[Message | Refused]:
    """One message or refusal for each row; the first names the columns. An empty cell is a value not given."""
    reader = csv.DictReader(lines, strict=True)
    while True:
        try:
            row = next(reader, None)
            if row is None:
                return
            if None in row or None in row.values():
                raise ValueError(f"must have {len(reader.fieldnames or ())} columns, as the first line has")
            values: dict[str, Any] = {}
            for column, cell in row.items():
                if column.startswith(DATA_COLUMN):
                    if cell:
                        values.setdefault("data", {})[column.removeprefix(DATA_COLUMN)] = cell
                elif cell:
                    values[column] = cell
            yield encode(values)
        except (ValueError, csv.Error) as error:
            yield Refused(reader.line_num, str(error))
