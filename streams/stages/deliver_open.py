"""Opening an entry: what is to be done for it now, and the claims for it; no request leaves before they are durable."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from connectors.outcome import Device, Push
from schemas.poison import PoisonError
from streams.policies.delivering import NoDevice, NothingToDo, plan
from streams.policies.identity import collapse_id, push_id
from streams.policies.rendering import RenderFailed, Text, render
from streams.stages.deliver_end import conclude_claims, end_attempt, end_unsent, note_unsent
from streams.stages.deliver_entry import Entry
from streams.stages.deliver_requests import Attempt
from streams.stages.deliver_step import DeliverStep
from streams.stages.deliver_types import REMOVED_TYPE, DeliverSettings
from streams.stages.delivery_rows import EARLIER_MS, NO_STATE, read_devices


def open_entries(
    work: DeliverStep, entries: Sequence[Entry], settings: DeliverSettings, close: Callable[[Entry], None]
) -> list[Attempt]:
    """Open entries in their order; return the requests that may leave once the step is committed.

    `close` is called for each entry that is done with this step.
    """
    if not entries:
        return []
    states = work.states([entry.key for entry in entries])
    devices = work.device_rows([entry.user for entry in entries])
    attempts: list[Attempt] = []
    for entry, state, row in zip(entries, states, devices, strict=True):
        # An id that is used again when suppress has forgotten it is another notification.
        is_earlier = state.at + EARLIER_MS < entry.delivery["admitted_at"]
        entry.state = NO_STATE if is_earlier else state
        opened = _open(work, entry, _targets(entry, read_devices(row)), settings)
        if not opened:
            close(entry)
        attempts += opened
    return attempts


def _targets(entry: Entry, devices: list[Device]) -> list[Device]:
    wanted = entry.delivery["devices"]
    if wanted:
        return [device for device in devices if device.device_id in wanted]
    if entry.policy.newest_device and devices:
        return [max(devices, key=lambda device: device.registered_at_ms)]
    return devices


def _open(work: DeliverStep, entry: Entry, targets: list[Device], settings: DeliverSettings) -> list[Attempt]:
    """Return the requests for an entry; without any, it is done."""
    state = entry.state
    send_by: int = entry.delivery["send_by"]
    named = [(device.device_id, device.provider.value) for device in targets]
    todo = plan(entry.attempt, state.concluded_attempt, state.claims, named, work.now, send_by, settings.grace_ms)
    if isinstance(todo, NothingToDo):
        return []
    if isinstance(todo, NoDevice):
        if state.claims:
            conclude_claims(work, entry)
        else:
            end_unsent(work, entry, "NO_DEVICE", "the user has no device")
        return []
    for claim in todo.settled:
        note_unsent(work, entry, claim)
    if not todo.claim:
        end_attempt(work, entry)
        return []
    text = _render(entry)
    if isinstance(text, PoisonError):
        if any(claim.phase != "NOT_SENT" for claim in entry.state.claims.values()):
            # Another device has it, or may have it: the slot is not free, whatever keeps it from this one.
            conclude_claims(work, entry)
        else:
            end_unsent(work, entry, "DEAD", f"{text.code}: {text.reason}")
        work.dead(entry, text)
        return []
    claimed = [device for device in targets if device.device_id in todo.claim]
    work.claim(entry, claimed)
    entry.under_way = len(claimed)
    start_by = time.monotonic() + min(settings.claim_seconds, (send_by - work.now) / 1000)
    return [Attempt(entry, device, _push(entry, device, text, work.now), start_by) for device in claimed]


def _render(entry: Entry) -> Text | PoisonError:
    notification, policy = entry.delivery["notification"], entry.policy
    if policy is REMOVED_TYPE:
        return PoisonError("UNKNOWN_TYPE", f"no type {notification['type']!r} in the types file any more")
    data = notification["data"]
    values = {"data": data, "user_id": notification["user_id"], "type": notification["type"], **data}
    text = render(notification["title"], notification["body"], policy.title, policy.body, values)
    return PoisonError("RENDER_FAILED", text.reason) if isinstance(text, RenderFailed) else text


def _push(entry: Entry, device: Device, text: Text, now: int) -> Push:
    notification, policy = entry.delivery["notification"], entry.policy
    ttl_seconds = policy.ttl_seconds
    if notification["expires_at"] is not None:
        ttl_seconds = max(0, min(ttl_seconds, (notification["expires_at"] - now) // 1000))
    return Push(
        push_id=push_id(entry.slot, entry.notification_id, device.device_id),
        notification_id=entry.notification_id,
        type=notification["type"],
        device=device,
        title=text.title,
        body=text.body,
        data=notification["data"],
        ttl_seconds=ttl_seconds,
        collapse_id=collapse_id(entry.slot),
        urgent=policy.urgent,
    )
