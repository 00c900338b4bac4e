"""The users of one partition, in the order of their keys: those that deliver has devices of, and those of a list.

The directory is the table of deliver, and partition p of all topics is one worker's, so its rows are in this process.
They are only read, a range at a time, in the thread that deliver writes them in between: a row is the one before a
write or the one after it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from schemas.contracts import CONTRACTS
from streams.lane.table import LaneTable
from streams.policies.audience import BUCKETS, PROFILE, Fields, Value
from streams.stages.broadcast_records import PLAIN_CODEC
from streams.stages.broadcast_rows import end_of, list_prefix
from streams.stages.delivery_rows import DEVICES_PREFIX, read_devices
from streams.stages.directory_rows import preferences_key, profile_key

_DEVICES_END: Final = end_of(DEVICES_PREFIX)
# Header, the size of the user_id and the end of the array; a device takes more than the two bytes that may be missing.
_EMPTY_BYTES_MAX: Final = len(CONTRACTS["Devices"].header) + 3
_OF_PREFERENCES: Final = frozenset(("language", "locale", "time_zone"))
_OF_PROFILE: Final = _OF_PREFERENCES | {"name"}
_OF_DEVICES: Final = frozenset(("provider", "devices"))


class User(NamedTuple):
    """A user, the key of the row that names the user, and its value."""

    key: bytes
    user: bytes
    row: bytes

    @property
    def has_device(self) -> bool:
        """Whether a row of devices holds any."""
        return len(self.row) > len(self.user) + _EMPTY_BYTES_MAX


class DirectoryUsers:
    """Those with a row of devices. `is_here`: whether this worker has the partition of the directory, recovered."""

    def __init__(self, table: LaneTable, partition: int, is_here: Callable[[], bool]) -> None:
        self._table = table
        self._partition = partition
        self.is_here = is_here

    def after(self, cursor: bytes, limit: int) -> list[User]:
        """Return the next ones after this key, at most so many; an empty cursor is before all."""
        start = cursor + b"\0" if cursor else DEVICES_PREFIX
        rows = self._table.scan(self._partition, start, _DEVICES_END, limit)
        return [User(key, key[1:], row) for key, row in rows]

    def count_after(self, cursor: bytes, limit: int) -> tuple[int, bytes]:
        """Count the next ones, at most so many; return how many there are and the key of the last one."""
        start = cursor + b"\0" if cursor else DEVICES_PREFIX
        return self._table.count(self._partition, start, _DEVICES_END, limit)

    def fields(self, users: Sequence[User], wanted: frozenset[str]) -> Sequence[Fields]:
        """Return what a filter that asks for these fields may ask of each user."""
        found: list[dict[str, Value]] = [{} for _ in users]
        for fields, user in zip(found, users, strict=True):
            if "user_id" in wanted:
                fields["user_id"] = user.user.decode()
            if "bucket" in wanted:
                fields["bucket"] = zlib.crc32(user.user) % BUCKETS
            if wanted & _OF_DEVICES:
                devices = read_devices(user.row)
                fields["provider"] = frozenset(device.provider.value for device in devices)
                fields["devices"] = len(devices)
        of_profile = {name for name in wanted if name.startswith(PROFILE)}
        if of_profile or wanted & _OF_PROFILE:
            for fields, profile in self._records(users, profile_key, "Profile", found):
                _add(fields, profile["name"], profile["locale"], profile["time_zone"])
                for name in of_profile:
                    value = profile["fields"].get(name.removeprefix(PROFILE))
                    if value is not None:
                        fields[name] = value
        if wanted & _OF_PREFERENCES:  # which win
            for fields, preferences in self._records(users, preferences_key, "Preferences", found):
                _add(fields, None, preferences["locale"], preferences["time_zone"])
        return found

    def _records(
        self, users: Sequence[User], key_of: Callable[[bytes], bytes], name: str, found: Sequence[dict[str, Value]]
    ) -> Iterator[tuple[dict[str, Value], Mapping[str, Any]]]:
        """Yield the fields of those users that have such a record, with the record.

        Not by way of the caches that deliver has: there a walk over all users would leave none of those it needs.
        """
        rows = self._table.read(self._partition, [key_of(user.user) for user in users])
        for fields, row in zip(found, rows, strict=True):
            if row is not None:
                yield fields, PLAIN_CODEC.decode_own(row, name)


def _add(fields: dict[str, Value], name: str | None, locale: str | None, time_zone: str | None) -> None:
    """Set what is known."""
    if name is not None:
        fields["name"] = name
    if locale is not None:
        fields["locale"] = locale
        fields["language"] = locale.replace("_", "-").partition("-")[0].lower()
    if time_zone is not None:
        fields["time_zone"] = time_zone


class ListedUsers:
    """Those of a list, from the rows of the table of broadcast."""

    def __init__(self, table: LaneTable, partition: int, broadcast_id: str) -> None:
        self._table = table
        self._partition = partition
        self._prefix = list_prefix(broadcast_id)
        self._end = end_of(self._prefix)

    def after(self, cursor: bytes, limit: int) -> list[User]:
        """Return the next ones after this key, at most so many; an empty cursor is before all."""
        start = cursor + b"\0" if cursor else self._prefix
        rows = self._table.scan(self._partition, start, self._end, limit)
        size = len(self._prefix)
        return [User(key, key[size:], row) for key, row in rows]
