"""What is on `broadcasts`, checked and read as far as telling the users needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.keys import check_type
from schemas.local_times import read_local_time
from schemas.poison import PoisonError
from schemas.records import BroadcastAudience, BroadcastReport
from schemas.varint import write_bytes
from streams.lane.chunk import Record
from streams.policies.audience import Audience, FilterError, read_filter
from streams.policies.broadcasting import ENDS, Action
from streams.time_zones import zone_named

NAMES: Final = ("Broadcast", "BroadcastControl", "BroadcastUsers", "BroadcastReport")
ID_BYTES_MAX: Final = 128
BROADCAST_BYTES_MAX: Final = 65_536  # the largest payload of the three providers is 4 KiB
USERS_MAX: Final = 1_000  # of one record: they become rows in one step
USER_ID_BYTES_MAX: Final = 256
PARTITION_MAX: Final = 65_535
PER_SECOND_MAX: Final = 1_000_000
INSTANT_MAX: Final = 10**15  # the year 33658: whoever asks for more has mistaken the unit
PLAIN_CODEC: Final = Codec()
_HEADER: Final = CONTRACTS["Broadcast"].header
_COPIED: Final = ("send_at", "expires_at", "send_at_local", "time_zone", "title", "body", "data")


class Definition(NamedTuple):
    """A Broadcast, ready to be told: each copy is `before`, the user as Avro writes a text, `after`."""

    broadcast_id: str
    type: bytes
    audience: BroadcastAudience
    filter: Audience | None
    per_second: int | None
    dry_run: bool
    expires_at: int | None
    before: bytes
    after: bytes

    @property
    def looks(self) -> bool:
        """Whether its users cost more than reading their keys, or nothing else sets it a pace."""
        return self.filter is not None or self.dry_run

    @property
    def copy_bytes(self) -> int:
        """What a copy takes, at most: both parts, and the user in value and key."""
        return len(self.before) + len(self.after) + 2 * USER_ID_BYTES_MAX


class Start(NamedTuple):
    """A Broadcast; `row` is what the table keeps, always in single-object encoding."""

    broadcast_id: str
    row: bytes
    requested_by: str


class Control(NamedTuple):
    """A BroadcastControl."""

    broadcast_id: str
    action: Action
    request_id: str
    requested_by: str


class Listed(NamedTuple):
    """Users of a list."""

    broadcast_id: str
    users: list[bytes]


class Ended(NamedTuple):
    """How a partition has ended, told to the partition that adds up; `row` is what its table keeps."""

    broadcast_id: str
    partition: int
    row: bytes


def read_broadcasts(codec: Codec, record: Record) -> Start | Control | Listed | Ended:
    """Read a record of `broadcasts`. Raises PoisonError, and with a registry RegistryUnavailableError."""
    if record.key is None:
        raise PoisonError("NO_KEY", "the record has no key; it must be the broadcast_id")
    name, body = codec.decode(record.value, NAMES)
    assert record.value is not None, "decode refuses it"
    broadcast_id: str = body["broadcast_id"]
    check_text("broadcast_id", broadcast_id, 1)
    if broadcast_id.encode() != record.key:
        raise PoisonError("KEY_MISMATCH", f"the key {record.key[:200]!r} is not the broadcast_id {broadcast_id!r}")
    if name == "Broadcast":
        check_broadcast(body)
        row = record.value if record.value.startswith(_HEADER) else PLAIN_CODEC.encode(name, body)
        if len(row) > BROADCAST_BYTES_MAX:
            raise PoisonError("TOO_LARGE", f"{len(row):,} bytes, a broadcast has at most {BROADCAST_BYTES_MAX:,}")
        return Start(broadcast_id, row, body["requested_by"])
    if name == "BroadcastControl":
        check_text("request_id", body["request_id"], 1)
        check_text("requested_by", body["requested_by"], 0)
        return Control(broadcast_id, body["action"], body["request_id"], body["requested_by"])
    if name == "BroadcastUsers":
        return Listed(broadcast_id, _users(body["users"]))
    if body["partition"] is None or not 0 <= body["partition"] <= PARTITION_MAX or body["state"] not in ENDS:
        raise PoisonError("INVALID_FIELD", "a BroadcastReport here says how one partition has ended")
    return Ended(broadcast_id, body["partition"], PLAIN_CODEC.encode(name, body))


def check_broadcast(broadcast: Mapping[str, Any]) -> None:
    """Raise PoisonError INVALID_FIELD for a Broadcast that cannot be carried out, wherever it is read."""
    check_text("broadcast_id", broadcast["broadcast_id"], 1)
    check_text("requested_by", broadcast["requested_by"], 0)
    check_type(broadcast["type"].encode(errors="surrogatepass"))
    if (broadcast["filter"] is not None) != (broadcast["audience"] == "FILTER"):
        raise PoisonError("INVALID_FIELD", "filter: must be given with the audience FILTER, and with no other")
    if broadcast["filter"] is not None:
        try:
            read_filter(broadcast["filter"])
        except FilterError as error:
            raise PoisonError("INVALID_FIELD", str(error)) from None
    pace = broadcast["per_second"]
    if pace is not None and not 1 <= pace <= PER_SECOND_MAX:
        raise PoisonError("INVALID_FIELD", f"per_second: must be 1 to {PER_SECOND_MAX:,}, is {pace}")
    for name in ("requested_at", "send_at", "expires_at"):
        if broadcast[name] is not None and abs(broadcast[name]) > INSTANT_MAX:
            raise PoisonError("INVALID_FIELD", f"{name}: {broadcast[name]} is no instant in milliseconds")
    local, zone = broadcast["send_at_local"], broadcast["time_zone"]
    if local is not None:
        read_local_time(local)
        if broadcast["send_at"] is not None:
            raise PoisonError("INVALID_FIELD", "send_at and send_at_local are both given; one of them must be null")
    if zone is not None and zone_named(zone) is None:
        raise PoisonError("INVALID_FIELD", f"time_zone: there is no zone {zone[:100]!r}")


def check_text(name: str, text: str, least: int) -> None:
    """Raise PoisonError INVALID_FIELD unless it has so many bytes of UTF-8 and at most 128."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise PoisonError("INVALID_FIELD", f"{name} is not UTF-8: {error.reason}") from None
    if not least <= size <= ID_BYTES_MAX:
        raise PoisonError("INVALID_FIELD", f"{name} has {size} bytes, it must have {least} to {ID_BYTES_MAX}")


def _users(names: list[str]) -> list[bytes]:
    if len(names) > USERS_MAX:
        raise PoisonError("TOO_LARGE", f"users: {len(names):,} in one record, at most {USERS_MAX:,}")
    users = [name.encode() for name in names]
    for user in users:
        if not 0 < len(user) <= USER_ID_BYTES_MAX:
            raise PoisonError("INVALID_FIELD", f"users: one has {len(user)} bytes, a user_id has 1 to 256")
    return users


def read_definition(row: bytes, codec: Codec, topic: str) -> Definition:
    """Read the row of a Broadcast. `codec`, `topic`: what its copies are written with, and to."""
    broadcast = PLAIN_CODEC.decode_own(row, "Broadcast")
    copy = {
        "notification_id": broadcast["broadcast_id"],
        "user_id": "",
        "type": broadcast["type"],
        "created_at": broadcast["requested_at"],
        **{name: broadcast[name] for name in _COPIED},
    }
    value = codec.encode("Notification", copy, topic)
    before = codec.header("Notification", topic) + write_bytes(broadcast["broadcast_id"].encode())
    return Definition(
        broadcast_id=broadcast["broadcast_id"],
        type=broadcast["type"].encode(),
        audience=broadcast["audience"],
        filter=None if broadcast["filter"] is None else read_filter(broadcast["filter"]),
        per_second=broadcast["per_second"],
        dry_run=broadcast["dry_run"],
        expires_at=broadcast["expires_at"],
        before=before,
        after=value[len(before) + 1 :],  # what comes after the empty user_id
    )


def read_report(row: bytes) -> BroadcastReport:
    """Read the row of a report."""
    return PLAIN_CODEC.decode_own(row, "BroadcastReport")  # type: ignore[return-value] # the contract is the type
