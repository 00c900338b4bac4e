"""The records as Python sees them, one TypedDict for each record of schemas/avsc/, which document the fields.

Instants are integers, milliseconds since the epoch, UTC. Enum values are their symbols as plain strings. Fields that
have a default in the contract may be left out when a record is written, and are always there when it was read.
"""

# Annotations are not postponed here: in postponed ones, NotRequired is not seen at run time.
from typing import Final, Literal, NotRequired, TypedDict

from schemas.poison import DeadLetterCode

EventState = Literal[
    "ADMITTED",
    "DEFERRED",
    "RELEASED",
    "SENDING",
    "RETRYING",
    "ACCEPTED",
    "SUPPRESSED",
    "DUPLICATE",
    "EXPIRED",
    "CANCELLED",
    "OPTED_OUT",
    "NO_DEVICE",
    "UNKNOWN",
    "DEAD",
]
# The answer for a single device is on record too, and no state of the event.
State = Literal[EventState, "ATTEMPTED"]
SlotPhase = Literal["HELD", "ACCEPTED", "UNKNOWN"]
DevicePhase = Literal["SENDING", "ACCEPTED", "NOT_SENT", "UNKNOWN"]
VerdictOutcome = Literal["ACCEPTED", "UNKNOWN", "FREED"]
Provider = Literal["APNS", "FCM", "WEBPUSH", "WEBHOOK"]
DeviceAction = Literal["REGISTER", "REMOVE"]
Weekday = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
ScheduleOutcome = Literal[
    "CANCELLED",
    "MOVED",
    "ALREADY_RELEASED",
    "ALREADY_CANCELLED",
    "ALREADY_EXPIRED",
    "WOULD_EXPIRE",
    "UNKNOWN_ID",
]
AuditOutcome = Literal["STARTED", "DONE", "FAILED", "REFUSED"]
BroadcastAudience = Literal["ALL", "LIST", "FILTER"]
BroadcastAction = Literal["PAUSE", "RESUME", "CANCEL"]
BroadcastPhase = Literal["LOADING", "RUNNING", "PAUSED", "DONE", "CANCELLED", "EXPIRED", "REFUSED"]
BroadcastState = Literal["LOADING", "RUNNING", "PAUSED", "DONE", "CANCELLED", "EXPIRED", "REFUSED", "UNKNOWN_ID"]

FINAL_STATES: Final[frozenset[State]] = frozenset(
    (
        "ACCEPTED",
        "SUPPRESSED",
        "DUPLICATE",
        "EXPIRED",
        "CANCELLED",
        "OPTED_OUT",
        "NO_DEVICE",
        "UNKNOWN",
        "DEAD",
    )
)
"""Every event that was read ends in exactly one of these."""


class Notification(TypedDict):
    """One event on `notifications`: somebody wants this user to be told something."""

    notification_id: str
    user_id: str
    type: str
    created_at: int
    send_at: NotRequired[int | None]
    expires_at: NotRequired[int | None]
    send_at_local: NotRequired[str | None]
    time_zone: NotRequired[str | None]
    title: NotRequired[str | None]
    body: NotRequired[str | None]
    data: NotRequired[dict[str, str]]


class Due(TypedDict):
    """A scheduled notification that is due, on `due`."""

    due_at: int
    released_at: int
    origin_partition: int
    origin_offset: int
    notification: Notification


class Deferral(TypedDict):
    """On `scheduled`: hold this notification until it is due."""

    due_at: int
    origin_partition: int
    origin_offset: int
    notification: Notification


class LocalDeferral(TypedDict):
    """A question on `outbox`: when is the local time of this notification in the user's own zone?"""

    asked_at: int
    origin_partition: int
    origin_offset: int
    notification: Notification


class Delivery(TypedDict):
    """An admitted notification on `outbox`."""

    admitted_at: int
    send_by: int
    attempt: int
    devices: NotRequired[list[str]]
    origin_partition: int
    origin_offset: int
    notification: Notification


class Retry(TypedDict):
    """On `scheduled`: put this delivery on `outbox` again."""

    due_at: int
    delivery: Delivery


class Cancel(TypedDict):
    """On `scheduled`: do not release this notification."""

    notification_id: str
    user_id: str
    type: str
    request_id: str
    requested_by: str
    requested_at: int


class Move(TypedDict):
    """On `scheduled`: release this notification at another time."""

    notification_id: str
    user_id: str
    type: str
    request_id: str
    requested_by: str
    requested_at: int
    due_at: int


class ScheduleAnswer(TypedDict):
    """What became of a Cancel or a Move, on `answers`."""

    request_id: str
    notification_id: str
    user_id: str
    type: str
    outcome: ScheduleOutcome
    at: int
    due_at_before: NotRequired[int | None]
    due_at_after: NotRequired[int | None]
    ended_at: NotRequired[int | None]
    holds_until: NotRequired[int | None]


class Forget(TypedDict):
    """Remove everything of a user, on `device-changes`, `verdicts` and `scheduled`."""

    user_id: str
    request_id: str
    requested_by: str
    requested_at: int
    round: NotRequired[int]
    after: NotRequired[bytes]
    removed: NotRequired[dict[str, int]]
    kept: NotRequired[dict[str, int]]
    slots_kept_until: NotRequired[int | None]


class ForgetAnswer(TypedDict):
    """What one partition of one stage has removed of a user, on `answers`."""

    request_id: str
    user_id: str
    stage: str
    partition: int
    at: int
    removed: dict[str, int]
    kept: dict[str, int]
    slots_kept_until: NotRequired[int | None]


class ScheduleLedger(TypedDict):
    """State of schedule: what a partition has counted since it began, and where its rows begin."""

    at: int
    scheduled: int
    released: int
    cancelled: int
    expired: int
    pending: int
    moved: int
    duplicates: int
    retries_taken: int
    retries_released: int
    retries_pending: int
    deferrals_front: bytes
    retries_front: bytes


class Broadcast(TypedDict):
    """One notification for many users, on every partition of `broadcasts`."""

    broadcast_id: str
    type: str
    requested_at: int
    requested_by: str
    audience: BroadcastAudience
    filter: NotRequired[str | None]
    per_second: NotRequired[int | None]
    dry_run: NotRequired[bool]
    send_at: NotRequired[int | None]
    expires_at: NotRequired[int | None]
    send_at_local: NotRequired[str | None]
    time_zone: NotRequired[str | None]
    title: NotRequired[str | None]
    body: NotRequired[str | None]
    data: NotRequired[dict[str, str]]


class BroadcastControl(TypedDict):
    """Pause, resume or cancel a broadcast, on every partition of `broadcasts`."""

    broadcast_id: str
    action: BroadcastAction
    request_id: str
    requested_by: str
    requested_at: int


class BroadcastUsers(TypedDict):
    """Some of the users of a broadcast to a list, on `broadcasts`."""

    broadcast_id: str
    users: list[str]


class BroadcastProgress(TypedDict):
    """State of broadcast: how far one broadcast is in one partition."""

    phase: BroadcastPhase
    reason: str
    started_at: int
    changed_at: int
    cursor: bytes
    seen: int
    matched: int
    not_matched: int
    emitted: int
    rows: NotRequired[int]
    users: NotRequired[int | None]


class BroadcastReport(TypedDict):
    """Where a broadcast stands, on `broadcast-reports`."""

    broadcast_id: str
    partition: int | None
    state: BroadcastState
    reason: str
    at: int
    started_at: NotRequired[int | None]
    dry_run: NotRequired[bool]
    users: NotRequired[int | None]
    seen: int
    matched: int
    not_matched: int
    emitted: int
    request_id: NotRequired[str | None]


class Verdict(TypedDict):
    """What became of the notification that holds a slot, on `verdicts`."""

    notification_id: str
    user_id: str
    type: str
    outcome: VerdictOutcome
    at: int


class Status(TypedDict):
    """One change of state of one notification, on `statuses`."""

    notification_id: str
    user_id: str
    type: str
    state: State
    reason: str
    at: int
    stage: str
    origin_partition: int
    origin_offset: int
    attempt: int
    provider: NotRequired[str | None]
    device_id: NotRequired[str | None]
    by_notification_id: NotRequired[str | None]
    until: NotRequired[int | None]


class Header(TypedDict):
    """One Kafka header of a dead letter."""

    key: str
    value: bytes | None


class DeadLetter(TypedDict):
    """A record that could not be worked on, on `dead-letters`."""

    reason: str
    code: DeadLetterCode
    stage: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    at: int
    key: bytes | None
    value: bytes | None
    headers: list[Header]
    notification_id: NotRequired[str | None]
    history: NotRequired[list[str]]


class Replay(TypedDict):
    """A dead letter that was replayed, on `replays`."""

    partition: int
    offset: int
    at: int
    requested_by: str
    notification_id: NotRequired[str | None]


class AuditEntry(TypedDict):
    """What somebody did on the web views or by a command, or was refused, on `audit-log`."""

    entry_id: str
    at: int
    action: str
    outcome: AuditOutcome
    status: NotRequired[int | None]
    by: str
    key_id: str
    key_name: str
    session_id: NotRequired[str]
    address: str
    worker: str
    method: str
    target: str
    detail: NotRequired[str]


class Device(TypedDict):
    """One address that a provider can reach."""

    device_id: str
    provider: Provider
    address: str
    p256dh: NotRequired[str | None]
    auth: NotRequired[str | None]
    registered_at: int


class Devices(TypedDict):
    """All devices of one user, on `devices`."""

    user_id: str
    devices: list[Device]


class DeviceChange(TypedDict):
    """One device of a user is registered or removed, on `device-changes`."""

    user_id: str
    device_id: str
    action: DeviceAction
    request_id: str
    requested_by: str
    requested_at: int
    provider: NotRequired[str | None]
    address: NotRequired[str | None]
    p256dh: NotRequired[str | None]
    auth: NotRequired[str | None]
    registered_at: NotRequired[int | None]


class QuietHours(TypedDict):
    """A stretch of the day in which nothing is to be sent, in minutes after local midnight."""

    start_minute: int
    end_minute: int
    days: NotRequired[list[Weekday]]


class Preferences(TypedDict):
    """What one user wants, on `preferences`."""

    user_id: str
    time_zone: NotRequired[str | None]
    locale: NotRequired[str | None]
    opted_out: NotRequired[bool]
    opted_out_types: NotRequired[list[str]]
    opted_out_providers: NotRequired[list[str]]
    mute_until: NotRequired[int | None]
    quiet_hours: NotRequired[list[QuietHours]]
    quiet_hours_by_type: NotRequired[dict[str, list[QuietHours]]]


class Profile(TypedDict):
    """What the texts for one user are filled with, on `profiles`."""

    user_id: str
    name: NotRequired[str | None]
    locale: NotRequired[str | None]
    time_zone: NotRequired[str | None]
    fields: NotRequired[dict[str, str]]
    updated_at: NotRequired[int | None]


class TemplateVariant(TypedDict):
    """What readers of one locale get on one provider."""

    locale: NotRequired[str | None]
    provider: NotRequired[str | None]
    title: NotRequired[str | None]
    body: NotRequired[str | None]
    image: NotRequired[str | None]
    link: NotRequired[str | None]
    data: NotRequired[dict[str, str]]


class Template(TypedDict):
    """What the notifications of one type say, on `templates`."""

    type: str
    version: str
    variants: list[TemplateVariant]
    published_at: int
    published_by: NotRequired[str | None]


class Slot(TypedDict):
    """State of suppress: who holds the window of one (user, type)."""

    notification_id: str
    phase: SlotPhase
    blocked_until: int
    admitted_at: int
    send_by: int


class SeenBlock(TypedDict):
    """State of suppress: the ids that one step saw and the slots that it changed."""

    at: int
    sweep_at: int
    ids: bytes
    slots: list[bytes]


class CapPlace(TypedDict):
    """A place that a notification has taken, in a CapState."""

    type: str
    notification_id: str
    admitted_at: int
    held: bool
    at: int


class CapState(TypedDict):
    """State of deliver: the places that the notifications of one user have taken of the frequency caps."""

    sweep_at: int
    places: list[CapPlace]


class DevicesEcho(TypedDict):
    """State of deliver: it has written the devices of a user to `devices` and not yet read them there again."""

    number: int
    position: int
    at: int


class DeviceClaim(TypedDict):
    """The claim for one device in a DeliveryState."""

    device_id: str
    provider: str
    attempt: int
    phase: DevicePhase
    at: int
    reason: str


class DeliveryState(TypedDict):
    """State of deliver: the claims and the outcomes for one notification, device by device."""

    admitted_at: NotRequired[int]
    attempt: int
    concluded: bool
    at: int
    claims: list[DeviceClaim]
