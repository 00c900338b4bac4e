"""All three stages on one partition, with users who are erased and registered anew."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from streams.lane.transaction import StepFailedError
from streams.policies.capping import Cap
from streams.stages.cap_rows import cap_key
from streams.stages.delivery_rows import STATE_PREFIX, devices_key
from streams.stages.directory_rows import preferences_key, profile_key
from streams.stages.forgetting import Forget, write_forget
from streams.stages.schedule_table import DEFERRALS, INDEX, RETRIES, read_pending
from tests.simulation.deliver_world import CODEC, TOPICS
from tests.simulation.quiet_world import QuietWorld

ASKED = (TOPICS.device_changes,)  # where a command is written to


def sized_slot(key: bytes) -> bytes:
    """The slot in a key that says its size behind its first byte."""
    return key[3 : 3 + int.from_bytes(key[1:3], "big")]


def _sum(answers: list[dict[str, Any]], field: str) -> dict[str, int]:
    total: Counter[str] = Counter()
    for answer in answers:
        total.update(answer[field])
    return dict(total)


class ErasureWorld(QuietWorld):
    """`forget` asks for it; where an owner of deliver dies, `settle` goes on with the next one."""

    def __init__(self, directory: Path, caps: tuple[Cap, ...] = ()) -> None:
        super().__init__(directory)
        self.caps = caps
        self.asked = 0

    async def settle(self) -> None:
        """Let all stages work until nothing is to be done before the clock moves on."""
        while True:
            try:
                await super().settle()
                if not any(stage.has_work() for stage in self.stages):
                    return
            except StepFailedError:
                await self.crash()
                self.start()

    async def settle_but(self, kept_back: str) -> None:
        """Let the stages work, and deliver too, but for one of its topics."""
        for _ in range(20):
            for stage in self.stages:
                while stage.has_work():
                    stage.step()
            for topic in (TOPICS.device_changes, TOPICS.devices, TOPICS.preferences, TOPICS.profiles):
                if topic != kept_back and self.lane.positions()[topic] < self.log.end(topic, 0):
                    self._offer(topic, self.lane.positions()[topic])
                await self.until_committed(topic)

    def append(self, topic: str, key: bytes | None, value: bytes | None) -> int:
        """A record arrives; the lane gets it in its turn, behind what the stages have written."""
        return self.log.append(topic, 0, key, value, [])

    def forget(self, user: str) -> str:
        """Somebody wants a user erased; return the id of the request."""
        self.asked += 1
        forget = Forget(user.encode(), f"r{self.asked}", "ops", self.now)
        for topic in ASKED:
            self.append(topic, user.encode(), write_forget(CODEC, forget, topic))
        return forget.request_id

    def answers(self, request_id: str) -> list[dict[str, Any]]:
        """What the stages have answered."""
        names = ("ScheduleAnswer", "ForgetAnswer")
        records = [CODEC.decode(record.value, names).record for record in self.log.records(TOPICS.answers)]
        return [record for record in records if record["request_id"] == request_id]

    def removed(self, request_id: str) -> dict[str, int]:
        """What was removed by all of them."""
        return _sum(self.answers(request_id), "removed")

    def kept(self, request_id: str) -> dict[str, int]:
        """What was kept by all of them."""
        return _sum(self.answers(request_id), "kept")

    def left_of(self, user: str) -> Counter[str]:
        """How many rows and last records there are of a user, by kind, but for slots, which may have to stay."""
        name = user.encode()
        deliveries, directory = self.rows("deliveries"), self.rows("directory")
        left: Counter[str] = Counter()
        for kind, key_of in (("devices", devices_key), ("preferences", preferences_key), ("profiles", profile_key)):
            left[kind] += key_of(name) in directory
            last = [record.value for record in self.log.records(getattr(TOPICS, kind)) if record.key == name][-1:]
            left[f"topic {kind}"] += last != [] and last != [None]
        for key in deliveries:
            left["deliveries"] += key.startswith(STATE_PREFIX) and sized_slot(key).rpartition(b":")[0] == name
        left["caps"] += cap_key(name) in deliveries
        for key in self.schedule_rows():
            if key[:1] in (DEFERRALS, RETRIES, INDEX):
                slot = sized_slot(key) if key[:1] == INDEX else read_pending(key).slot
                left["scheduled"] += slot.rpartition(b":")[0] == name
        return +left
