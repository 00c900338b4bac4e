"""What deliver tells of a notification in its trace: queue, render, claim, each attempt, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from connectors.outcome import Accepted, Device, Outcome
from schemas.poison import PoisonError
from schemas.records import FINAL_STATES, State
from streams.lane.step import Step
from streams.policies.delivering import Claim
from streams.stages.deliver_entry import Entry
from streams.tracing import Hop, StepSpans, Tracer

Attributes = dict[str, str | int | float | bool]
Rendered = TypeVar("Rendered")
FAILED: tuple[State, ...] = ("DEAD", "UNKNOWN", "EXPIRED")


class DeliverTraces:
    """The spans of one step. Without a tracer no entry has a hop, and nothing is called but `rendering`."""

    def __init__(self, tracer: Tracer | None, step: Step, partition: int, now: int) -> None:
        self._now = now
        self._tracer = tracer
        if tracer is not None:
            self._spans = StepSpans(tracer, "deliver", partition)
            step.committed.append(self._spans.committed)

    def rendering(self, entry: Entry, render: Callable[[], Rendered]) -> Rendered:
        """Render, and say how long it took."""
        hop = entry.hop
        if hop is None or self._tracer is None or not hop.is_sampled:
            return render()
        began_at = self._tracer.now_ms()
        rendered = render()
        error = rendered.reason if isinstance(rendered, PoisonError) else ""
        template: Attributes = {"ringonce.template": getattr(rendered, "template", "")}
        self._spans.add(hop.child("render", began_at, self._tracer.now_ms(), template, error))
        return rendered

    def claimed(self, entry: Entry, devices: int) -> None:
        """It has waited in the queue, and is claimed once this step is committed."""
        hop = entry.hop
        if hop is not None and hop.is_sampled:
            self._spans.add(hop.child("queue", hop.started_at, self._now, {"ringonce.topic": entry.topic}))
            said: Attributes = {"ringonce.devices": devices, "ringonce.attempt": entry.attempt}
            self._spans.add(hop.child("claim", self._now, None, said))

    def answered(self, entry: Entry, device: Device, outcome: Outcome, between: tuple[int, int]) -> None:
        """A provider was asked, or would have been, between these instants."""
        hop = entry.hop
        if hop is None or not hop.is_sampled:
            return
        accepted = isinstance(outcome, Accepted)
        phase = "ACCEPTED" if accepted else "NOT_SENT" if hasattr(outcome, "retry") else "UNKNOWN"
        reason = outcome.reference if isinstance(outcome, Accepted) else outcome.reason
        said = self._attempt(entry, device.device_id, device.provider.value, phase, reason)
        if outcome.status is not None:
            said["http.response.status_code"] = outcome.status
        self._spans.add(hop.child("attempt", *between, said, "" if accepted else f"{phase}: {reason}", "client"))

    def unasked(self, entry: Entry, before: Claim | None, claim: Claim) -> None:
        """An attempt has an outcome that nobody was asked for: its owner was lost, or it is too late."""
        hop = entry.hop
        if hop is not None and hop.is_sampled:
            said = self._attempt(entry, claim.device_id, claim.provider, claim.phase, claim.reason)
            began_at = self._now if before is None else min(before.at, self._now)
            self._spans.add(hop.child("attempt", began_at, self._now, said, f"{claim.phase}: {claim.reason}", "client"))

    def ended(self, entry: Entry, state: State, reason: str) -> None:
        """Nothing more is done for it here: it has ended, or it comes again."""
        hop = entry.hop
        if hop is None or not hop.is_sampled:
            return
        said: Attributes = {
            "ringonce.notification_id": entry.notification_id,
            "ringonce.type": entry.delivery["notification"]["type"],
            "ringonce.attempt": entry.attempt,
            "ringonce.decision": state,
            "ringonce.reason": reason,
        }
        error = reason if state in FAILED else ""
        if state in FINAL_STATES:
            self._spans.add(hop.child("outcome", self._now, None, said, error))
        self._spans.add(hop.own("deliver", said, error))

    def _attempt(self, entry: Entry, device_id: str, provider: str, phase: str, reason: str) -> Attributes:
        return {
            "ringonce.attempt": entry.attempt,
            "ringonce.device_id": device_id,
            "ringonce.provider": provider,
            "ringonce.outcome": phase,
            "ringonce.reason": reason,
        }


__all__ = ["DeliverTraces", "Hop"]
