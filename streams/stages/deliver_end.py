"""Outcomes and endings: what is noted of each device, and what becomes of a notification when all have an outcome."""

from __future__ import annotations

from datetime import UTC
from typing import Final

from connectors.outcome import Accepted, Device, NotSent, Outcome
from schemas.poison import DeadLetterCode, PoisonError
from schemas.records import State
from streams.policies.breaking import is_providers_fault
from streams.policies.delivering import SEND_BY_PASSED, Claim, Conclusion, TooLate, conclude, postpone
from streams.policies.local_time import iso_at
from streams.policies.retrying import RetryAt, next_attempt
from streams.stages.deliver_entry import Entry
from streams.stages.deliver_step import DeliverStep

_new: Final = tuple.__new__  # Claim(...) costs 0.2 µs more.
REASON_BYTES_MAX = 200  # the words that providers document have at most 40
LATE_MS_MIN, LATE_MS_MAX = 1_000, 30_000  # between two times that it comes, when it was late
RESEND_AFTER_MS = 10_000  # where the outcome names no longer wait


def note_unsent(work: DeliverStep, entry: Entry, claim: Claim) -> None:
    """Note an outcome that is known without asking: the owner of the claim was lost, or it is too late."""
    if claim.phase == "UNKNOWN" and entry.policy.resend_unknown:
        # The lost owner can't start it later than this; then it is sent again under the same ids.
        claimed_at = entry.state.claims[claim.device_id].at
        wait = max(0, claimed_at + work.settings.grace_ms - work.now)
        _again(entry, claim.device_id, wait)
    if entry.hop is not None:
        work.traces.unasked(entry, entry.state.claims.get(claim.device_id), claim)
    work.note(entry, claim)


def note_outcome(work: DeliverStep, entry: Entry, device: Device, outcome: Outcome, at: int) -> None:
    """Note what a connector answered for one device."""
    phase, reason, remark = "UNKNOWN", "", ""
    if isinstance(outcome, NotSent) and outcome.reason == "deadline_passed":
        # No request left: it may be sent later, by whoever owns the partition then, if there is time.
        late = work.now >= entry.delivery["send_by"]
        outcome = NotSent(SEND_BY_PASSED if late else outcome.reason, retry=not late)
    if isinstance(outcome, Accepted):
        phase, reason = "ACCEPTED", outcome.reference or f"{outcome.status}"
    elif isinstance(outcome, NotSent):
        phase, reason = "NOT_SENT", outcome.reason
        if outcome.retry:
            entry.excused += is_providers_fault(outcome)
            wait = None if outcome.retry_after_seconds is None else int(outcome.retry_after_seconds * 1000)
            _again(entry, device.device_id, wait)
        if outcome.gone_at_ms is not None:
            remark, others = work.devices.gone(entry.user, device, outcome.gone_at_ms, readable(reason))
            entry.next_newest = entry.policy.newest_device and others > 0
    else:
        # It may still be on its way when the time-out strikes.
        reason, at = outcome.reason, at + work.settings.grace_ms
        if entry.policy.resend_unknown:
            asked_ms = int((outcome.retry_after_seconds or 0.0) * 1000)
            _again(entry, device.device_id, max(RESEND_AFTER_MS, asked_ms))
    claim_reason = readable(reason)
    claim: Claim = _new(Claim, (device.device_id, device.provider._value_, entry.attempt, phase, at, claim_reason))
    work.note(entry, claim, remark)


def readable(reason: str) -> str:
    """Return a provider's word as text that can be written down: it may hold half a character, or a whole page."""
    if reason.isascii() and 0 < len(reason) <= REASON_BYTES_MAX:
        return reason
    return reason.encode(errors="replace")[:REASON_BYTES_MAX].decode(errors="ignore") or "no reason given"


def _again(entry: Entry, device_id: str, wait_ms: int | None) -> None:
    entry.retry.append(device_id)
    if wait_ms is not None:
        entry.retry_after_ms = max(entry.retry_after_ms or 0, wait_ms)


def end_attempt(work: DeliverStep, entry: Entry) -> None:
    """All devices have an outcome: try again what certainly was not sent, or conclude."""
    out_of_time = False
    if entry.retry or entry.next_newest:
        decision = next_attempt(
            entry.attempt,
            work.now,
            entry.delivery["send_by"],
            entry.retry_after_ms,
            work.settings.chance(),
            entry.policy.retry,
        )
        if isinstance(decision, RetryAt):
            work.retry(entry, decision.due_at, "the newest device is gone" if entry.next_newest else None)
            return
        if (
            entry.retry
            and entry.excused == len(entry.retry)
            and _postponed(work, entry, work.now + (entry.retry_after_ms or 0))
        ):
            return
        out_of_time = decision.reason == SEND_BY_PASSED
    end = conclude(list(entry.state.claims.values()), work.now, out_of_time)
    if end.state == "EXPIRED" and _may_be_late(work, entry) and _postponed(work, entry, _after_being_late(work, entry)):
        return
    _conclude(work, entry, end)


def _may_be_late(work: DeliverStep, entry: Entry) -> bool:
    """Whether it can be on time when it comes again: not where it has less time than two clocks may differ by."""
    send_within: int = entry.delivery["send_by"] - entry.delivery["admitted_at"]
    return send_within > work.settings.skew_ms


def _after_being_late(work: DeliverStep, entry: Entry) -> int:
    """When it comes again: after as long as it has been under way, so that lateness feeds no loop."""
    under_way: int = work.now - entry.delivery["admitted_at"]
    return work.now + min(max(LATE_MS_MIN, under_way), LATE_MS_MAX)


def _postponed(work: DeliverStep, entry: Entry, until: int) -> bool:
    """Whether it waits for longer than `send_by` allows, because nothing of it was sent and its type lets it wait."""
    if not entry.policy.wait_ms_max:
        return False
    last = max(entry.state.claims.values(), key=lambda claim: (claim.attempt, claim.at), default=None)
    reason = SEND_BY_PASSED if last is None else last.reason
    return postpone_entry(work, entry, until, f"{reason}: waits for its provider")


def postpone_entry(work: DeliverStep, entry: Entry, until: int, reason: str) -> bool:
    """Let it contend for its slot anew at `until`; False: it must not wait for so long."""
    expires_at = entry.delivery["notification"]["expires_at"]
    decision = postpone(work.now, until, expires_at, entry.policy.wait_ms_max)
    if isinstance(decision, TooLate):
        return False
    notification = {**entry.delivery["notification"], "expires_at": decision.expires_at}
    entry.delivery = {**entry.delivery, "notification": notification}
    hold_back(work, entry, decision.until, reason)
    return True


def leave_alone(work: DeliverStep, entry: Entry, device_ids: list[str], until: int, reason: str) -> None:
    """Nothing may leave for these devices before `until`: their provider fails, or has more to do than it can take.

    What a device has or may have keeps the slot, so the others are tried again within `send_by`, or not at all.
    """
    if not may_have_been_sent(entry) and entry.policy.wait_ms_max and postpone_entry(work, entry, until, reason):
        return
    if until < entry.delivery["send_by"]:
        entry.retry += device_ids
        work.retry(entry, until, reason)
    else:
        end_early(work, entry, "EXPIRED", f"{reason}, and not sent after {iso_at(entry.delivery['send_by'], UTC)}")


def conclude_claims(work: DeliverStep, entry: Entry) -> None:
    """Conclude over the outcomes that there are: nothing more is to be tried."""
    _conclude(work, entry, conclude(list(entry.state.claims.values()), work.now))


def _conclude(work: DeliverStep, entry: Entry, end: Conclusion) -> None:
    """Say how it ended, to everybody and to the slot."""
    work.concluded(entry)
    work.status(entry, end.state, end.reason)
    work.verdict(entry, end.verdict, end.at)
    if end.state == "DEAD":
        code: DeadLetterCode = "ATTEMPTS_EXHAUSTED" if entry.retry else "REJECTED"
        work.dead(entry, PoisonError(code, f"given up after attempt {entry.attempt}: {end.reason}"))


def end_unsent(work: DeliverStep, entry: Entry, state: State, reason: str) -> None:
    """End a notification that was certainly not sent: the slot is free again."""
    work.concluded(entry)
    work.status(entry, state, reason)
    work.verdict(entry, "FREED", work.now)


def end_early(work: DeliverStep, entry: Entry, state: State, reason: str) -> None:
    """End it, whatever is left to be sent.

    Where a device has it, or may have it, that is how it ends: the slot is not free, whatever keeps it from the others.
    """
    if may_have_been_sent(entry):
        conclude_claims(work, entry)
    else:
        end_unsent(work, entry, state, reason)


def hold_back(work: DeliverStep, entry: Entry, until: int, reason: str) -> None:
    """Let it wait until quiet hours end, or a cap has room. Its slot is free until then; it contends for it anew."""
    if may_have_been_sent(entry):
        conclude_claims(work, entry)
        return
    work.concluded(entry)
    work.status(entry, "DEFERRED", reason, until=until)
    work.leave_caps(entry, "FREED", work.now)
    work.defer(entry, until, work.topics.verdicts)


def may_have_been_sent(entry: Entry) -> bool:
    """Whether any device has it, or may have it."""
    return any(claim.phase != "NOT_SENT" for claim in entry.state.claims.values())
