"""Lines of JSON or CSV as Kafka messages, or as a sentence that says what is wrong with them."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from schemas.codec import Codec
from schemas.keys import check_notification_id, check_user_id, slot_key
from schemas.poison import PoisonError
from streams.publish.instants import instant_ms
from streams.topics import RECORD_BYTES_MAX
from streams.violations import sentence

RECORD_OVERHEAD_BYTES = 128  # What Kafka adds to a key and a value, generously.
DATA_COLUMN = "data."  # The CSV column `data.name` is the value `name` of `data`.


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to Kafka; a value of None is a tombstone."""

    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that is not published. `line` counts from 1."""

    line: int
    reason: str


def _instant(value: Any) -> Any:
    return instant_ms(value) if isinstance(value, str | int) and not isinstance(value, bool) else value


Instant = Annotated[int, BeforeValidator(_instant)]


Line = TypeVar("Line", bound=BaseModel)


class EventLine(BaseModel):
    """One notification as people write it. Instants: ISO 8601 or milliseconds since the epoch."""

    model_config = ConfigDict(extra="forbid", strict=True)

    notification_id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    user_id: str
    type: str
    created_at: Instant | None = None
    send_at: Instant | None = None
    expires_at: Instant | None = None
    title: str | None = None
    body: str | None = None
    data: dict[str, str] = Field(default_factory=dict)


class DeviceLine(BaseModel):
    """One device of a user; the fields of schemas/avsc/devices.avsc."""

    model_config = ConfigDict(extra="forbid", strict=True)

    device_id: str = Field(min_length=1, max_length=128)
    provider: Annotated[Literal["APNS", "FCM", "WEBPUSH"], BeforeValidator(lambda name: str(name).upper())]
    address: str = Field(min_length=1)
    p256dh: str | None = None
    auth: str | None = None
    registered_at: Instant | None = None


class UserDevicesLine(BaseModel):
    """All devices of a user; null removes them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: str
    devices: list[DeviceLine] | None


class Encoder:
    """Turns what people write into messages for one topic. `now_ms` stands in for instants that are not given."""

    def __init__(self, codec: Codec, topic: str, now_ms: Callable[[], int]) -> None:
        self._codec = codec
        self._topic = topic
        self._now_ms = now_ms

    def event(self, values: dict[str, Any]) -> Message:
        """A message for `notifications`. Raises ValueError with a sentence."""
        event = _validate(EventLine, values)
        record = event.model_dump()
        record["created_at"] = self._now_ms() if event.created_at is None else event.created_at
        try:
            check_notification_id(event.notification_id.encode())
            key = slot_key(event.user_id, event.type)
        except PoisonError as error:
            raise ValueError(error.reason) from None
        return self._message(key, "Notification", record)

    def devices(self, values: dict[str, Any]) -> Message:
        """A message for `devices`. Raises ValueError with a sentence."""
        line = _validate(UserDevicesLine, values)
        try:
            check_user_id(line.user_id.encode())
        except PoisonError as error:
            raise ValueError(error.reason) from None
        if line.devices is None:
            return Message(line.user_id.encode(), None)
        if len({device.device_id for device in line.devices}) < len(line.devices):
            raise ValueError("devices: two have the same device_id")
        record = line.model_dump()
        for device in record["devices"]:
            if device["registered_at"] is None:
                device["registered_at"] = self._now_ms()
        return self._message(line.user_id.encode(), "Devices", record)

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


def _validate(model: type[Line], values: dict[str, Any]) -> Line:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ValueError("; ".join(_sentence(details) for details in error.errors())) from None


def _sentence(details: ErrorDetails) -> str:
    where = ".".join(str(part) for part in details["loc"])
    return f"{where}: {'no such field' if details['type'] == 'extra_forbidden' else sentence(details)}"
