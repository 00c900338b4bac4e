"""The profile of a user, before the claim: from the directory, else from the user service. Nobody else waits for it.

An entry whose profile is fetched is put aside; the others go on. When its fetch ends, it is opened anew, with what
there is by then. Nothing of it is durable until then: a crash, a drain or a rebalance leaves it to be read again.

What the user service cannot tell now does not wait here, however long it is to wait: it comes back by `scheduled`. So
an outage fills no lane.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from connectors.outcome import Device
from streams.policies.preferences import Preferences, opt_out
from streams.policies.profiles import (
    NO_PROFILE,
    NO_RECORD,
    PAUSE_MS_MIN,
    Delay,
    Lacking,
    Lookup,
    Profile,
    Unavailable,
    decide,
)
from streams.profiles.source import ProfileSource
from streams.stages.deliver_entry import Entry
from streams.stages.deliver_step import DeliverStep
from streams.stages.directory_rows import read_profile

WAITING_MAX = 500  # of one lane, put aside until a fetch ends: a fraction of what it holds at all
LOCAL_WAIT_MS_MAX = 30_000  # it waits in memory, and the offset with it


class Lookups:
    """The fetches of one lane; `wake` is called when one has ended, and its entry is to be opened again."""

    def __init__(self, source: ProfileSource | None, now_ms: Callable[[], int], wake: Callable[[], None]) -> None:
        self.has_source = source is not None
        self._source = source
        self._now_ms = now_ms
        self._wake = wake
        self._tasks: set[asyncio.Task[None]] = set()
        self.finished: deque[Entry] = deque()

    @property
    def waiting(self) -> int:
        """How many entries are put aside, those whose fetch has ended included."""
        return len(self._tasks) + len(self.finished)

    def known(self, entry: Entry) -> Lookup | None:
        """Return what is known of the profile of its user, without a record on the topic; None: ask."""
        if entry.profile is not None or self._source is None:
            return entry.profile or NO_RECORD
        return self._source.known(_user_id(entry))

    def ask(self, entry: Entry) -> Unavailable | None:
        """Put an entry aside until the user service was asked; it comes back by `take`. Returned: too many are."""
        assert self._source is not None, "then it is known that there is none"
        if self.waiting >= WAITING_MAX:
            return Unavailable(f"{self.waiting} others wait for the user service already")
        self._tasks.add(asyncio.create_task(self._fetch(self._source, entry)))
        return None

    def take(self, count: int) -> list[Entry]:
        """Return at most so many entries whose fetch has ended."""
        return [self.finished.popleft() for _ in range(min(count, len(self.finished)))]

    def cancel(self) -> None:
        """Give up all fetches: their entries will be read again."""
        for task in self._tasks:
            task.cancel()

    async def _fetch(self, source: ProfileSource, entry: Entry) -> None:
        try:
            entry.profile = await self._patiently(source, entry)
            self.finished.append(entry)
        finally:
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            self._wake()

    async def _patiently(self, source: ProfileSource, entry: Entry) -> Lookup:
        """What asks for its local time cannot come back by `scheduled`, so it waits here. It holds no slot."""
        wait_ms = min(entry.policy.profile.wait_ms, LOCAL_WAIT_MS_MAX)
        left_ms = entry.delivery["admitted_at"] + wait_ms - self._now_ms()
        until = time.monotonic() + left_ms / 1000
        found = await _fetched(source, entry)
        while entry.local is not None and isinstance(found, Unavailable) and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, max(PAUSE_MS_MIN, found.again_ms) / 1000))
            found = await _fetched(source, entry)
        return found


async def _fetched(source: ProfileSource, entry: Entry) -> Lookup:
    try:
        return await source.fetch(_user_id(entry))
    except Exception as error:  # a source must not raise; if one does, its user waits, and not the lane
        return Unavailable(f"asking the user service failed: {type(error).__name__}")


def _user_id(entry: Entry) -> str:
    user_id: str = entry.delivery["notification"]["user_id"]
    return user_id


def find_profile(
    work: DeliverStep,
    lookups: Lookups,
    entry: Entry,
    targets: Sequence[Device],
    preferences: Preferences,
    row: bytes | None,
) -> Profile | Delay | Lacking | None:
    """Return with which profile it is sent, if it is; None: it is put aside. `row`: of the directory."""
    policy = entry.policy.profile
    if policy.need == "none":
        return NO_PROFILE
    if row is not None:
        return read_profile(row)
    if not lookups.has_source and policy.need == "optional":
        return NO_PROFILE
    found = lookups.known(entry)
    if isinstance(found, Profile):
        return found
    if _is_opted_out(entry, targets, preferences, work.now):
        return NO_PROFILE  # nobody is asked about users who are not told anything
    found = found or lookups.ask(entry)
    if found is None:
        return None
    delivery = entry.delivery
    return decide(found, policy, work.now, delivery["admitted_at"], delivery["send_by"], work.settings.chance())


def find_zone(lookups: Lookups, entry: Entry, row: bytes | None) -> Profile | None:
    """Return the profile for what asks for its local time, as far as it is known; None: it is put aside."""
    if entry.policy.profile.need == "none":
        return NO_PROFILE
    if row is not None:
        return read_profile(row)
    found = lookups.known(entry)
    if found is None or (isinstance(found, Unavailable) and entry.profile is None):
        found = lookups.ask(entry)
    return found if found is None or isinstance(found, Profile) else NO_PROFILE


def _is_opted_out(entry: Entry, targets: Sequence[Device], preferences: Preferences, now: int) -> bool:
    if opt_out(preferences, entry.delivery["notification"]["type"], now) is not None:
        return True
    return all(device.provider.value in preferences.opted_out_providers for device in targets)
