"""The frequency cap, asked right before the claim: a claim and the place that it takes are one transaction."""

from __future__ import annotations

from streams.policies.capping import Full, TooLong, Wait, decide
from streams.stages.deliver_end import end_unsent, hold_back, may_have_been_sent
from streams.stages.deliver_entry import Entry
from streams.stages.deliver_step import DeliverStep


def has_room(work: DeliverStep, entry: Entry) -> bool:
    """Take a place of the user's caps for an entry that is about to be claimed; without one, it has ended or waits."""
    settings, rules, notification = work.settings, entry.policy.cap, entry.delivery["notification"]
    decision = decide(
        work.caps.places(entry.user),
        entry.capped,
        may_have_been_sent(entry),
        rules,
        work.now,
        settings.caps,
        settings.skew_ms,
        notification["expires_at"],
        entry.policy.hours.hold_ms_max,
    )
    if isinstance(decision, Full):
        work.concluded(entry)
        work.turned_away(entry, decision.reason, decision.until, decision.by)
        work.verdict(entry, "FREED", work.now)
        return False
    if isinstance(decision, TooLong):
        end_unsent(work, entry, "EXPIRED", decision.reason)
        return False
    if isinstance(decision, Wait):
        # What waits for room may find it taken again and again: that ends where it is of no use any more.
        entry.delivery = {**entry.delivery, "notification": {**notification, "expires_at": decision.expires_at}}
        hold_back(work, entry, decision.until, decision.reason)
        return False
    if rules.counts:
        work.caps.take(entry.user, entry.capped, entry.delivery["send_by"] + settings.grace_ms)
    return True
