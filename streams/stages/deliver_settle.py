"""Outcomes that have come in, noted in a step; an entry whose last one it is has ended with it."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

from streams.stages.deliver_end import end_attempt, note_outcome
from streams.stages.deliver_intake import Intake
from streams.stages.deliver_requests import Finished
from streams.stages.deliver_services import Service
from streams.stages.deliver_step import DeliverStep


def settle(
    work: DeliverStep, finished: Sequence[Finished], settled: MutableMapping[Service, int], intake: Intake
) -> None:
    """Note what these were told, and count them in `settled`."""
    for entry, device, outcome, at, service, asked_at in finished:
        settled[service] = settled.get(service, 0) + 1
        note_outcome(work, entry, device, outcome, at)
        if entry.hop is not None:
            work.traces.answered(entry, device, outcome, (asked_at, at))
        entry.under_way -= 1
        if entry.under_way == 0:
            end_attempt(work, entry)
            intake.close(entry)
