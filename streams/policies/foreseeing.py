"""What would happen to a notification that is sent now, as far as it can be said? Pure, and no promise.

First its slot decides, then, in the order of deliver, what is known of its user. Texts are not rendered, and a user
service is not asked.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC
from typing import Literal, NamedTuple

from streams.policies import capping, preferences
from streams.policies.explaining import SlotState
from streams.policies.local_time import iso_at
from streams.policies.preferences import Hold, Preferences, TypeHours

OutlookCode = Literal[
    "SENT",
    "UNKNOWN_TYPE",
    "SUPPRESSED_BY_SLOT",
    "NO_DEVICE",
    "NO_PROFILE",
    "OPTED_OUT",
    "HELD_BY_QUIET_HOURS",
    "HELD_BY_PROVIDER",
    "SUPPRESSED_BY_CAP",
    "HELD_BY_CAP",
    "EXPIRED",
    "NOT_KNOWN",
]


class Outlook(NamedTuple):
    """What would happen; `sentence` begins with what it is about: one sent now."""

    code: OutlookCode
    sentence: str
    until: int | None = None
    by: str | None = None


class Recipient(NamedTuple):
    """What is known of the user of a slot. `providers`: of the devices that it would go to. `shut_until`: until when
    all of these providers are left alone; None: not all are. `profile_is_missing`: the type requires one, the topic has
    none, and there is no user service to ask."""

    providers: Collection[str]
    preferences: Preferences
    room: capping.Go | capping.Full | capping.Wait | capping.TooLong
    shut_until: int | None = None
    profile_is_missing: bool = False


def foresee_slot(state: SlotState) -> Outlook | None:
    """Say what the slot does with one; None: it lets it pass."""
    if state.code == "UNKNOWN_TYPE":
        return Outlook("UNKNOWN_TYPE", "one sent now would end on the dead letters: the types file has no such type")
    if state.code == "BLOCKED":
        assert state.until is not None, "a slot is blocked until some instant"
        sentence = f"one sent now would be suppressed by {state.by}, as any before {iso_at(state.until, UTC)}"
        return Outlook("SUPPRESSED_BY_SLOT", sentence, state.until, state.by)
    return None


def foresee(kind: str, recipient: Recipient, hours: TypeHours, now: int) -> Outlook:
    """Say what would happen to one that was admitted now. `now` in milliseconds since the epoch."""
    if not recipient.providers:
        return Outlook("NO_DEVICE", "one sent now would reach nobody: the user has no device")
    wishes = recipient.preferences
    reason = preferences.opt_out(wishes, kind, now)
    left = [provider for provider in recipient.providers if provider not in wishes.opted_out_providers]
    if reason is None and not left:
        reason = f"the user has opted out of {', '.join(sorted(wishes.opted_out_providers))}"
    if reason is not None:
        return Outlook("OPTED_OUT", f"one sent now would not be sent: {reason}", wishes.mute_until)
    if recipient.profile_is_missing:
        missing = "its type requires a profile, and the user has none"
        return Outlook("NO_PROFILE", f"one sent now would end on the dead letters: {missing}")
    held = preferences.hold(wishes, kind, hours, now, None)
    if isinstance(held, Hold):
        return Outlook("HELD_BY_QUIET_HOURS", f"one sent now would be held: {held.reason}", held.until)
    if held is not None:
        return Outlook("EXPIRED", f"one sent now would expire: {held.reason}")
    if recipient.shut_until is not None:
        until = iso_at(recipient.shut_until, UTC)
        sentence = f"one sent now would wait for its provider, which fails and is left alone until {until}"
        return Outlook("HELD_BY_PROVIDER", sentence, recipient.shut_until)
    return _in_the_cap(recipient.room)


def _in_the_cap(room: capping.Go | capping.Full | capping.Wait | capping.TooLong) -> Outlook:
    match room:
        case capping.Go():
            return Outlook("SENT", "one sent now would be sent")
        case capping.Full(until, by, reason):
            return Outlook("SUPPRESSED_BY_CAP", f"one sent now would be suppressed: {reason}", until, by)
        case capping.Wait(until, _, reason):
            return Outlook("HELD_BY_CAP", f"one sent now would be held: {reason}", until)
        case capping.TooLong(reason):
            return Outlook("EXPIRED", f"one sent now would expire: {reason}")
