"""What is to be done for an admitted notification, device by device, and how it ended.

    (no claim) --claim--> SENDING --2xx--> ACCEPTED
                            |------certainly not--> NOT_SENT --retry--> SENDING (attempt + 1)
                            |------anything else--> UNKNOWN
                            `------owner lost-----> UNKNOWN

A claim without an outcome whose owner is gone may have been sent: it is UNKNOWN and not sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

Phase = Literal["SENDING", "ACCEPTED", "NOT_SENT", "UNKNOWN"]

_new: Final = tuple.__new__  # Plan(...) costs 0.2 µs more.
OWNER_LOST = "the worker that had claimed it was lost before it noted an outcome"
SEND_BY_PASSED = "send_by_passed"


class Claim(NamedTuple):
    """The claim for one device; the fields are those of DeviceClaim in schemas/avsc/delivery_state.avsc."""

    device_id: str
    provider: str
    attempt: int
    phase: Phase
    at: int
    reason: str


class Plan(NamedTuple):
    """What to do now: devices to claim for, and claims whose outcome is known without sending."""

    claim: list[str]
    settled: list[Claim]


class NothingToDo(NamedTuple):
    """This attempt was concluded before: the record is read once more after a crash or a rebalance."""


class NoDevice(NamedTuple):
    """The user has no device, or none of those that the attempt was for."""


def plan(
    attempt: int,
    concluded_attempt: int,
    claims: Mapping[str, Claim],
    targets: Sequence[tuple[str, str]],
    now: int,
    send_by: int,
    grace_ms: int,
) -> Plan | NothingToDo | NoDevice:
    """Plan one attempt. `targets`: (device id, provider) that it is for. Instants in milliseconds since the epoch.

    `concluded_attempt`: the latest attempt that was concluded, 0: none.
    """
    if concluded_attempt >= attempt:
        return NothingToDo()
    to_claim: list[str] = []
    settled: list[Claim] = []
    for claim in claims.values():
        if claim.attempt == attempt and claim.phase == "SENDING":
            # The lost owner may be paused, not dead: he can still start it until send_by, and it may take until grace.
            settled.append(claim._replace(phase="UNKNOWN", at=send_by + grace_ms, reason=OWNER_LOST))
    for device_id, provider in targets:
        known = claims.get(device_id)
        if known is not None and known.attempt >= attempt:
            continue
        if now >= send_by:
            settled.append(Claim(device_id, provider, attempt, "NOT_SENT", now, SEND_BY_PASSED))
        else:
            to_claim.append(device_id)
    if not to_claim and not settled and not any(claim.attempt == attempt for claim in claims.values()):
        return NoDevice()
    return _new(Plan, (to_claim, settled))


class Conclusion(NamedTuple):
    """How the notification ended: its final state, why, and what is said of its slot."""

    state: Literal["ACCEPTED", "UNKNOWN", "EXPIRED", "DEAD"]
    reason: str
    verdict: Literal["ACCEPTED", "UNKNOWN", "FREED"]
    at: int


def latest_claims(claims: Sequence[Claim]) -> list[Claim]:
    """Return the last claim for each device."""
    latest: dict[str, Claim] = {}
    for claim in claims:
        known = latest.get(claim.device_id)
        if known is None or known.attempt < claim.attempt:
            latest[claim.device_id] = claim
    return list(latest.values())


def conclude(claims: Sequence[Claim], now: int, out_of_time: bool = False) -> Conclusion:
    """Conclude over the outcomes of all devices and attempts. One device that took it makes it ACCEPTED.

    `out_of_time`: a further attempt was due, but only after `send_by`: that is EXPIRED, not DEAD.

    `at` is the latest instant at which any request of it may have reached a provider: the window runs from there.
    """
    assert claims, "a notification without any claim ends as NO_DEVICE"
    if len(claims) == 1 and claims[0].phase == "ACCEPTED":  # as nearly all end; what follows says the same
        return _new(Conclusion, ("ACCEPTED", claims[0].reason, "ACCEPTED", claims[0].at))
    phases = [claim.phase for claim in claims]
    assert "SENDING" not in phases, "a claim without an outcome is settled first"
    reached = [claim for claim in claims if claim.phase in ("ACCEPTED", "UNKNOWN")]
    latest = max((claim.at for claim in reached), default=now)
    for state in ("ACCEPTED", "UNKNOWN"):
        if state in phases:
            first = claims[phases.index(state)]
            # An UNKNOWN beside an ACCEPTED counts for the window as well: `latest` is over both.
            verdict: Literal["ACCEPTED", "UNKNOWN"] = "ACCEPTED" if state == "ACCEPTED" else "UNKNOWN"
            return Conclusion(verdict, _of_all(first.reason, claims), verdict, latest)
    final = latest_claims(claims)
    last = max(final, key=lambda claim: claim.at)
    state_of_none: Literal["EXPIRED", "DEAD"] = (
        "EXPIRED" if out_of_time or all(claim.reason == SEND_BY_PASSED for claim in final) else "DEAD"
    )
    return Conclusion(state_of_none, _of_all(last.reason, claims), "FREED", now)


def _of_all(reason: str, claims: Sequence[Claim]) -> str:
    """Return the reason with what became of the devices, where there are several."""
    if len(claims) == 1:
        return reason
    reached: dict[str, Phase] = {}
    for claim in claims:  # of a device with several attempts, what says most
        if claim.phase == "ACCEPTED" or claim.device_id not in reached or reached[claim.device_id] == "NOT_SENT":
            reached[claim.device_id] = claim.phase
    if len(reached) == 1:
        return reason
    phases = list(reached.values())
    accepted, unknown = phases.count("ACCEPTED"), phases.count("UNKNOWN")
    others = f", {unknown} may have it" if unknown else ""
    return f"{reason} ({accepted} of {len(phases)} devices accepted it{others})"


class Postpone(NamedTuple):
    """Not now: it contends for its slot anew at `until`, and is of no use after `expires_at`."""

    until: int
    expires_at: int


class TooLate(NamedTuple):
    """It has waited for as long as it may, or would be of no use any more."""

    reason: str


def postpone(now: int, until: int, expires_at: int | None, wait_ms_max: int) -> Postpone | TooLate:
    """Decide on a notification that certainly was not sent, because its provider fails or is behind.

    The first wait sets when it is of no use any more, if its event did not: so all waits together are bounded.
    """
    latest = now + wait_ms_max
    if expires_at is not None:
        latest = min(latest, expires_at)
    if latest <= max(until, now):
        return TooLate(
            "of no use any more by then" if latest == expires_at else f"waits for at most {wait_ms_max // 1000} s"
        )
    return Postpone(until, latest)
