"""What is known of a user: devices, preferences, the profile; and removing all of it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from streams.publish.lines import DeviceFields, PreferencesFields, ProfileFields
from streams.publish.names import DeviceId, RequestedBy, RequestId, UserId
from streams.web.contract.operation import Answer, Body, Operation
from streams.web.contract.parameters import Query
from streams.web.contract.shown import Ms, ProviderName, Shown


class DeviceShown(Shown):
    """A device. The keys of a subscription are never shown."""

    device_id: str
    provider: ProviderName
    address: str
    registered_at: Ms


class DevicesOfUser(Shown):
    """The devices of a user."""

    user_id: str
    partition: int
    devices: list[DeviceShown]


class DeviceTaken(Shown):
    """A change that Kafka has."""

    request_id: str
    user_id: str
    device_id: str


class PreferencesShown(Shown):
    """What a user wants; a body for PUT."""

    user_id: str
    time_zone: str | None
    locale: str | None
    opted_out: bool
    opted_out_types: list[str]
    opted_out_providers: list[str]
    mute_until: Ms | None
    quiet_hours: list[str]
    quiet_hours_by_type: dict[str, list[str]]


class UserTaken(Shown):
    """Kafka has it."""

    user_id: str


class ProfileShown(Shown):
    """The profile of a user."""

    user_id: str
    name: str | None
    locale: str | None
    time_zone: str | None
    fields: dict[str, str]
    updated_at: Ms


class ProfileTaken(Shown):
    """Kafka has it."""

    user_id: str
    profile_url: str


class ErasedPartition(Shown):
    """What one partition of one stage has removed."""

    stage: str
    partition: int
    at: Ms
    removed: dict[str, int]
    kept: dict[str, int]
    slots_kept_until: Ms | None


class StagePartition(Shown):
    """A partition of a stage."""

    stage: str
    partition: int


class Erasure(Shown):
    """What was removed of a user, and what had to be kept."""

    user_id: str
    request_id: str
    complete: bool
    unread: int = Field(description="Records that had not been read when the command was written.")
    removed: dict[str, int]
    kept: dict[str, int]
    slots_kept_until: Ms | None
    partitions: list[ErasedPartition]
    not_answered: list[StagePartition]
    topics_keep_seconds: dict[str, int]


class AddressesQuery(Query):
    """How addresses are shown."""

    addresses: Literal["masked", "full"] = "masked"


class DeviceBody(DeviceFields):
    """A device, and who asks."""

    user_id: UserId | None = Field(None, description="That of the path, where it is given.")
    device_id: DeviceId | None = Field(None, description="That of the path, where it is given.")
    request_id: RequestId = ""
    requested_by: RequestedBy = ""


class DeviceRemovalBody(BaseModel):
    """Who asks."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: UserId | None = Field(None, description="That of the path, where it is given.")
    device_id: DeviceId | None = Field(None, description="That of the path, where it is given.")
    request_id: RequestId = ""
    requested_by: RequestedBy = ""


class PreferencesBody(PreferencesFields):
    """What a user wants, as a whole."""

    user_id: UserId | None = Field(None, description="That of the path, where it is given.")


class ProfileBody(ProfileFields):
    """The whole profile."""

    user_id: UserId | None = Field(None, description="That of the path, where it is given.")


class ErasureBody(BaseModel):
    """Who asks."""

    model_config = ConfigDict(extra="forbid", strict=True)

    requested_by: RequestedBy = ""
    request_id: RequestId | None = None


USER = "/users/{user_id}"
DEVICE = f"{USER}/devices/{{device_id}}"
TAKING = (413, 415, 429, 503)
OPERATIONS = (
    Operation(
        "GET",
        f"{USER}/devices",
        "devices",
        "devices",
        "read",
        "The devices of a user",
        {200: Answer("All of them; none for a user that nobody knows.", DevicesOfUser)},
        (503,),
        query=AddressesQuery,
    ),
    Operation(
        "PUT",
        DEVICE,
        "putDevice",
        "devices",
        "send",
        "Register a device, or say that it is there again",
        {202: Answer("Kafka has it.", DeviceTaken)},
        TAKING,
        body=Body(
            DeviceBody,
            16 * 1024,  # a Web Push subscription has less than 3 KiB
            {"webhook": {"provider": "webhook", "address": "https://app.example/hook"}},
            secret=True,
        ),
    ),
    Operation(
        "DELETE",
        DEVICE,
        "deleteDevice",
        "devices",
        "send",
        "Send nothing more to a device",
        {202: Answer("Kafka has it.", DeviceTaken)},
        TAKING,
        body=Body(DeviceRemovalBody, 16 * 1024, {"ops": {"requested_by": "ops"}}, required=False),
    ),
    Operation(
        "GET",
        f"{USER}/preferences",
        "preferences",
        "users",
        "read",
        "What a user wants",
        {200: Answer("As PUT takes it.", PreferencesShown)},
        (404, 503),
    ),
    Operation(
        "PUT",
        f"{USER}/preferences",
        "putPreferences",
        "users",
        "send",
        "Say what a user wants, as a whole",
        {202: Answer("Kafka has it.", UserTaken)},
        TAKING,
        body=Body(
            PreferencesBody,
            256 * 1024,  # a hundred stretches for each of fifty types
            {"quiet": {"time_zone": "Europe/Vienna", "quiet_hours": ["22:00-07:00", "sat,sun 22:00-10:00"]}},
        ),
    ),
    Operation(
        "DELETE",
        f"{USER}/preferences",
        "deletePreferences",
        "users",
        "send",
        "The user wants nothing in particular any more",
        {202: Answer("Kafka has it.", UserTaken)},
        (413, 429, 503),
    ),
    Operation(
        "GET",
        f"{USER}/profile",
        "profile",
        "users",
        "read",
        "What the texts for a user are filled with",
        {200: Answer("The profile.", ProfileShown)},
        (404, 503),
    ),
    Operation(
        "PUT",
        f"{USER}/profile",
        "putProfile",
        "users",
        "send",
        "Replace the whole profile",
        {202: Answer("Kafka has it.", ProfileTaken)},
        TAKING,
        body=Body(ProfileBody, 64 * 1024, {"alice": {"name": "Alice", "locale": "de-AT", "fields": {"city": "Wien"}}}),
    ),
    Operation(
        "DELETE",
        f"{USER}/profile",
        "deleteProfile",
        "users",
        "send",
        "Remove the profile",
        {202: Answer("Kafka has it.", ProfileTaken)},
        (429, 503),
    ),
    Operation(
        "DELETE",
        USER,
        "deleteUser",
        "users",
        "admin",
        "Remove everything of a user",
        {
            200: Answer("All partitions have done it.", Erasure),
            202: Answer("It is on Kafka, and some partitions have not answered in time, or are behind.", Erasure),
        },
        (413, 415, 503),
        "It can be asked for again: what is removed already is not removed twice.",
        body=Body(ErasureBody, 4 * 1024, {"ticket": {"requested_by": "ticket 4711"}}, required=False),
    ),
)
