"""Statuses as steps of a story: decoded for whoever asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.codec import Codec
from streams.audit.reading import decoder
from streams.policies.explaining import Step
from streams.stories.rows import Told

_decode: Final = decoder(Codec(), "Status")


def steps_of(partition: int, told: Iterable[Told]) -> list[Step]:
    """Return the statuses of a partition as steps."""
    return [step_of(partition, each) for each in told]


def step_of(partition: int, told: Told) -> Step:
    """Return a status as a step."""
    status = _decode(told.value)
    return Step(
        state=status["state"],
        reason=status["reason"],
        at=status["at"],
        stage=status["stage"],
        origin=(status["origin_partition"], status["origin_offset"]),
        attempt=status["attempt"],
        provider=status["provider"],
        device_id=status["device_id"],
        by=status["by_notification_id"],
        until=status["until"],
        partition=partition,
        offset=told.offset,
    )
