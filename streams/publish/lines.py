"""What people write for each record, field by field, and the sentence that says what is wrong with it."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from schemas.local_times import read_local_time
from schemas.poison import PoisonError
from schemas.records import Provider
from streams.policies.quiet_hours import read_quiet_hours
from streams.publish.instants import instant_ms
from streams.stages.directory_rows import WEEKDAYS
from streams.time_zones import known_zone
from streams.violations import sentence

Line = TypeVar("Line", bound=BaseModel)


def _instant(value: Any) -> Any:
    return instant_ms(value) if isinstance(value, str | int) and not isinstance(value, bool) else value


Instant = Annotated[int, BeforeValidator(_instant)]


def _local_time(text: str) -> str:
    try:
        read_local_time(text)
    except PoisonError as error:
        raise ValueError(error.reason.removeprefix("send_at_local: ")) from None
    return text


def _stretch(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    found = read_quiet_hours(text)
    days = [WEEKDAYS[number] for number in sorted(found.days)]
    return {"start_minute": found.start_minute, "end_minute": found.end_minute, "days": days}


Stretch = Annotated[dict[str, Any], BeforeValidator(_stretch)]


class EventLine(BaseModel):
    """One notification as people write it. Instants: ISO 8601 or milliseconds since the epoch. `send_at_local` is a
    time without a zone, in `time_zone` or, without that, the user's own."""

    model_config = ConfigDict(extra="forbid", strict=True)

    notification_id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    user_id: str
    type: str
    created_at: Instant | None = None
    send_at: Instant | None = None
    expires_at: Instant | None = None
    send_at_local: Annotated[str, AfterValidator(_local_time)] | None = None
    time_zone: Annotated[str, AfterValidator(known_zone)] | None = None
    title: str | None = None
    body: str | None = None
    data: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if self.send_at is not None and self.send_at_local is not None:
            raise ValueError("send_at and send_at_local: give one of them")
        return self


class DeviceLine(BaseModel):
    """One device of a user; the fields of schemas/avsc/devices.avsc."""

    model_config = ConfigDict(extra="forbid", strict=True)

    device_id: str = Field(min_length=1, max_length=128)
    provider: Annotated[Provider, BeforeValidator(lambda name: str(name).upper())]
    address: str = Field(min_length=1)
    p256dh: str | None = None
    auth: str | None = None
    registered_at: Instant | None = None


class UserDevicesLine(BaseModel):
    """All devices of a user; null removes them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: str
    devices: list[DeviceLine] | None


class PreferencesLine(BaseModel):
    """What one user wants, as people write it: quiet hours as `22:00-07:00` or `sat,sun 22:00-10:00`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: str
    time_zone: Annotated[str, AfterValidator(known_zone)] | None = None
    locale: str | None = None
    opted_out: bool = False
    opted_out_types: list[str] = Field(default_factory=list)
    opted_out_providers: list[Literal["apns", "fcm", "webpush", "webhook"]] = Field(default_factory=list)
    mute_until: Instant | None = None
    quiet_hours: list[Stretch] = Field(default_factory=list)
    quiet_hours_by_type: dict[str, list[Stretch]] = Field(default_factory=dict)
    erase: bool = False


class ProfileLine(BaseModel):
    """What the texts for one user are filled with; the fields of schemas/avsc/profile.avsc."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: str
    name: str | None = None
    locale: str | None = None
    time_zone: Annotated[str, AfterValidator(known_zone)] | None = None
    fields: dict[str, str] = Field(default_factory=dict)
    updated_at: Instant | None = None
    erase: bool = False


def read_line(model: type[Line], values: dict[str, Any]) -> Line:
    """The line of these values. Raises ValueError with a sentence."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ValueError("; ".join(_sentence(details) for details in error.errors())) from None


def _sentence(details: ErrorDetails) -> str:
    where = ".".join(str(part) for part in details["loc"])
    if not where:
        return sentence(details)  # a rule over several fields, which names them itself
    return f"{where}: {'no such field' if details['type'] == 'extra_forbidden' else sentence(details)}"
