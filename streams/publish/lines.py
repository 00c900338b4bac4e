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
from streams.publish.instants import MS_MAX, instant_ms
from streams.publish.names import DeviceId, NotificationId, TypeName, UserId
from streams.stages.directory_rows import WEEKDAYS
from streams.time_zones import known_zone
from streams.violations import sentence

Line = TypeVar("Line", bound=BaseModel)


def _instant(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():  # JSON has one kind of numbers
        value = int(value)
    return instant_ms(value) if isinstance(value, str | int) and not isinstance(value, bool) else value


def _local_time(text: str) -> str:
    try:
        read_local_time(text)
    except PoisonError as error:
        raise ValueError(error.reason.removeprefix("send_at_local: ")) from None
    return text


Instant = Annotated[
    int,
    BeforeValidator(
        _instant,
        json_schema_input_type=Annotated[int, Field(ge=0, le=MS_MAX)]
        | Annotated[str, Field(json_schema_extra={"format": "date-time"})],
    ),
    Field(examples=["2026-12-24T18:00:00Z"]),
]
"""Milliseconds since the epoch, or a text of ISO 8601 with a time zone."""
LocalTime = Annotated[
    str,
    AfterValidator(_local_time),
    Field(
        description="A time without a zone: that of `time_zone`, or without one the user's own.",
        examples=["2026-12-24T18:00"],
        json_schema_extra={"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$"},
    ),
]
TimeZone = Annotated[
    str, AfterValidator(known_zone), Field(description="A name of the IANA database.", examples=["Europe/Vienna"])
]


def _upper(name: Any) -> Any:
    return str(name).upper()


def _stretch(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    found = read_quiet_hours(text)
    days = [WEEKDAYS[number] for number in sorted(found.days)]
    return {"start_minute": found.start_minute, "end_minute": found.end_minute, "days": days}


Stretch = Annotated[
    dict[str, Any],
    BeforeValidator(_stretch, json_schema_input_type=str),
    Field(description="Days, if not all, and a stretch of time.", examples=["sat,sun 22:00-10:00"]),
]


class EventFields(BaseModel):
    """One notification as people write it, but for its id. Instants: ISO 8601 or milliseconds since the epoch."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: UserId
    type: TypeName
    created_at: Instant | None = Field(None, description="When the event was made, for people. Without it: now.")
    send_at: Instant | None = Field(None, description="Not before this instant. Null or past: at once.")
    expires_at: Instant | None = Field(None, description="Useless after this instant. Null: as the type says.")
    send_at_local: LocalTime | None = None
    time_zone: TimeZone | None = None
    title: str | None = Field(None, description="Null: that of the template.")
    body: str | None = Field(None, description="Null: that of the template.")
    data: dict[str, str] = Field(default_factory=dict, description="For the template and the app.")

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if self.send_at is not None and self.send_at_local is not None:
            raise ValueError("send_at and send_at_local: give one of them")
        return self


class EventLine(EventFields):
    """One notification as people write it. Without an id it gets one."""

    notification_id: NotificationId = Field(default_factory=lambda: str(uuid.uuid4()))


class DeviceFields(BaseModel):
    """What is said of a device, but for its id."""

    model_config = ConfigDict(extra="forbid", strict=True)

    provider: Annotated[
        Provider,
        BeforeValidator(_upper, json_schema_input_type=Literal["apns", "fcm", "webpush", "webhook"]),
        Field(description="In small letters or capitals."),
    ]
    address: str = Field(min_length=1, description="A token, an endpoint of Web Push, or the URL of a webhook.")
    p256dh: str | None = Field(None, description="Web Push: the key of the browser.")
    auth: str | None = Field(None, description="Web Push and webhooks: the secret.")
    registered_at: Instant | None = Field(None, description="Without it: now.")


class DeviceLine(DeviceFields):
    """One device of a user; the fields of schemas/avsc/devices.avsc."""

    device_id: DeviceId


class UserDevicesLine(BaseModel):
    """All devices of a user; null removes them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: UserId
    devices: list[DeviceLine] | None


class PreferencesFields(BaseModel):
    """What one user wants, as people write it: quiet hours as `22:00-07:00` or `sat,sun 22:00-10:00`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    time_zone: TimeZone | None = None
    locale: str | None = None
    opted_out: bool = False
    opted_out_types: list[str] = Field(default_factory=list)
    opted_out_providers: list[Literal["apns", "fcm", "webpush", "webhook"]] = Field(default_factory=list)
    mute_until: Instant | None = None
    quiet_hours: list[Stretch] = Field(default_factory=list)
    quiet_hours_by_type: dict[str, list[Stretch]] = Field(default_factory=dict)


class PreferencesLine(PreferencesFields):
    """What one user wants; `erase` removes it."""

    user_id: UserId
    erase: bool = False


class ProfileFields(BaseModel):
    """What the texts for one user are filled with; the fields of schemas/avsc/profile.avsc."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str | None = None
    locale: str | None = None
    time_zone: TimeZone | None = None
    fields: dict[str, str] = Field(default_factory=dict)
    updated_at: Instant | None = Field(None, description="Without it: now.")


class ProfileLine(ProfileFields):
    """What the texts for one user are filled with; `erase` removes it."""

    user_id: UserId
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
