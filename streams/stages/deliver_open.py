"""Opening an entry: what is to be done for it now, and the claims for it; no request leaves before they are durable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from connectors.outcome import Device, ProviderName, Push
from schemas.poison import PoisonError
from streams.policies.delivering import NoDevice, NothingToDo, plan
from streams.policies.identity import collapse_id, push_id
from streams.policies.local_time import iso_at
from streams.policies.preferences import Hold, Preferences, TooLong, due_at, hold, opt_out, zone_of
from streams.policies.profiles import NO_PROFILE, Delay, Lacking, Profile, with_profile
from streams.policies.rendering import Chosen, RenderFailed, Text, Values, missing_names, render
from streams.stages.deliver_cap import has_room
from streams.stages.deliver_end import end_attempt, end_early, hold_back, leave_alone, note_unsent
from streams.stages.deliver_entry import Entry
from streams.stages.deliver_gate import Gate, Parked
from streams.stages.deliver_intake import Intake
from streams.stages.deliver_profiles import Lookups, find_profile, find_zone
from streams.stages.deliver_requests import Attempt
from streams.stages.deliver_services import Service
from streams.stages.deliver_step import DeliverStep
from streams.stages.deliver_types import REMOVED_TYPE
from streams.stages.delivery_rows import devices_key, first_state, read_devices
from streams.stages.directory_rows import preferences_key, profile_key, read_preferences
from streams.stages.forgetting import is_erased

_new: Final = tuple.__new__  # Attempt(...) costs 0.2 µs more.


class Rendered(NamedTuple):
    """The text for each provider, and the template that it is of."""

    texts: Mapping[ProviderName, Text]
    template: str


class Opening(NamedTuple):
    """What entries are opened with. `intake` is told of each that is done with this step.

    `blocked` collects those that can neither leave nor wait for their service. `lookups` has those that wait for a
    profile.
    """

    gate: Gate
    parked: Parked
    intake: Intake
    blocked: list[Entry]
    lookups: Lookups


def open_entries(work: DeliverStep, entries: Sequence[Entry], opening: Opening) -> list[Attempt]:
    """Open entries in their order; return the requests that may leave once the step is committed."""
    if not entries:
        return []
    states = work.states([entry.key for entry in entries])
    keys = [devices_key(entry.user) for entry in entries] + [preferences_key(entry.user) for entry in entries]
    keys += [profile_key(entry.user) for entry in entries if entry.policy.profile.need != "none"]
    rows = work.directory_rows(keys)
    profiles = iter(rows[2 * len(entries) :])
    attempts: list[Attempt] = []
    for entry, state, devices, wishes in zip(entries, states, rows, rows[len(entries) :], strict=False):
        opened: list[Attempt] | Service | None = []
        profile = None if entry.policy.profile.need == "none" else next(profiles)
        admitted_at = entry.delivery["admitted_at"]
        if state.admitted_at <= admitted_at:  # else it was admitted anew since, and is read once more after a crash
            entry.state = state if state.admitted_at == admitted_at else first_state(admitted_at)
            preferences = read_preferences(wishes)
            if entry.local is None:
                targets = _targets(entry, read_devices(devices), preferences)
                opened = _open(work, entry, targets, preferences, profile, opening)
            elif not entry.state.concluded_attempt:
                opened = _place(work, entry, entry.local, preferences, profile, opening)
        if opened is None or isinstance(opened, Service):
            continue  # it waits in memory
        if not opened:
            opening.intake.close(entry)
        attempts += opened
    return attempts


def _place(
    work: DeliverStep,
    entry: Entry,
    local: datetime,
    preferences: Preferences,
    profile_row: bytes | None,
    opening: Opening,
) -> list[Attempt] | None:
    """Answer when its local time is; it holds no slot yet. None: it waits in memory for a profile."""
    if preferences.zone is None:
        profile = find_zone(opening.lookups, entry, profile_row)
        if profile is None:
            return None
        preferences = with_profile(preferences, profile)
    at, expires_at = due_at(local, preferences, entry.policy.hours), entry.delivery["notification"]["expires_at"]
    zone = zone_of(preferences, entry.policy.hours)
    work.concluded(entry)
    if expires_at is not None and expires_at <= max(at, work.now):
        work.status(entry, "EXPIRED", f"of no use any more at {iso_at(at, zone)}")
        return []
    work.status(entry, "DEFERRED", f"due at {iso_at(at, zone)}", until=at)
    work.defer(entry, at, work.topics.scheduled)
    return []


def _targets(entry: Entry, devices: list[Device], preferences: Preferences) -> list[Device]:
    if entry.record.headers and is_erased(entry.record):
        return []  # registered anew meanwhile, the user is not told what was meant for before
    wanted = entry.delivery["devices"]
    if wanted:
        return [device for device in devices if device.device_id in wanted]
    if entry.policy.newest_device and devices:
        # Of those that the user wants it on, or a new tablet that wants nothing would silence the phone.
        allowed = [device for device in devices if device.provider.value not in preferences.opted_out_providers]
        return [max(allowed or devices, key=lambda device: device.registered_at_ms)]
    return devices


def _open(
    work: DeliverStep,
    entry: Entry,
    targets: list[Device],
    preferences: Preferences,
    profile_row: bytes | None,
    opening: Opening,
) -> list[Attempt] | Service | None:
    """Return the requests for an entry; without any, it is done. A service: it waits in memory for a place there.
    None: it waits in memory for a profile."""
    state, settings = entry.state, work.settings
    send_by: int = entry.delivery["send_by"]
    named = [(device.device_id, device.provider._value_) for device in targets]
    todo = plan(entry.attempt, state.concluded_attempt, state.claims, named, work.now, send_by, settings.grace_ms)
    if isinstance(todo, NothingToDo):
        return []
    if isinstance(todo, NoDevice):
        gone = "the user has none of the devices any more that it was still to be sent to"
        end_early(work, entry, "NO_DEVICE", gone if state.claims else "the user has no device")
        return []
    profile: Profile | Delay | Lacking | None = NO_PROFILE
    if todo.claim:
        profile = find_profile(work, opening.lookups, entry, targets, preferences, profile_row)
    if profile is None:
        return None
    if isinstance(profile, Delay):
        work.delay(entry, profile.until, profile.reason)
        return []
    for claim in todo.settled:
        note_unsent(work, entry, claim)
    if not todo.claim:
        end_attempt(work, entry)
        return []
    if isinstance(profile, Profile):
        preferences = with_profile(preferences, profile)
    claimed = _wanted(work, entry, [device for device in targets if device.device_id in todo.claim], preferences)
    if not claimed:
        return []
    passage = opening.gate.ask(claimed)
    if passage.wait is not None:
        if opening.parked.put(entry, passage.wait):
            return passage.wait
        if not passage.wait.is_slow(work.now):
            opening.blocked.append(entry)
            return passage.wait
    if not passage.go:
        until, reason = opening.gate.later(claimed, passage.wait)
        leave_alone(work, entry, [device.device_id for device in claimed], until, reason)
        return []
    if entry.hop is None:
        rendered = _render(work, entry, claimed, preferences, profile)
    else:
        rendered = work.traces.rendering(entry, lambda: _render(work, entry, claimed, preferences, profile))
    if isinstance(rendered, PoisonError):
        end_early(work, entry, "DEAD", f"{rendered.code}: {rendered.reason}")
        work.dead(entry, rendered)
        return []
    if settings.caps and not has_room(work, entry):
        return []
    opening.gate.take(passage)
    if passage.shut:  # tried again when the others have their outcome
        entry.retry += [device.device_id for device in passage.shut]
        entry.excused += len(passage.shut)
        entry.retry_after_ms = max(entry.retry_after_ms or 0, passage.until - work.now)
    work.claim(entry, [device for device, _ in passage.go], f"claimed; {rendered.template}")
    entry.under_way = len(passage.go)
    start_by = work.monotonic + min(settings.claim_seconds, (send_by - work.now) / 1000)
    return [
        _new(
            Attempt, (entry, device, _push(entry, device, rendered.texts[device.provider], work.now), start_by, service)
        )
        for device, service in passage.go
    ]


def _wanted(work: DeliverStep, entry: Entry, devices: list[Device], preferences: Preferences) -> list[Device]:
    """Return the devices that the user wants it on now; without any, it has ended or waits."""
    kind: str = entry.delivery["notification"]["type"]
    reason = opt_out(preferences, kind, work.now)
    if reason is None and preferences.opted_out_providers:
        devices = [device for device in devices if device.provider.value not in preferences.opted_out_providers]
        if not devices:
            reason = f"the user has opted out of {', '.join(sorted(preferences.opted_out_providers))}"
    if reason is not None:
        end_early(work, entry, "OPTED_OUT", reason)
        return []
    decision = hold(preferences, kind, entry.policy.hours, work.now, entry.delivery["notification"]["expires_at"])
    if isinstance(decision, TooLong):
        end_early(work, entry, "EXPIRED", decision.reason)
        return []
    if isinstance(decision, Hold):
        hold_back(work, entry, decision.until, decision.reason)
        return []
    return devices


def _render(
    work: DeliverStep, entry: Entry, devices: list[Device], preferences: Preferences, profile: Profile | Lacking
) -> Rendered | PoisonError:
    """Render it for the providers of these devices, each distinct variant once.

    Where it fails for one provider it is sent to none: mended and replayed, it reaches all of them.
    """
    notification, kind = entry.delivery["notification"], entry.delivery["notification"]["type"]
    if entry.policy is REMOVED_TYPE:
        return PoisonError("UNKNOWN_TYPE", f"no type {kind!r} in the types file any more")
    locale, zone = preferences.locale, zone_of(preferences, entry.policy.hours)
    known = NO_PROFILE if isinstance(profile, Lacking) else profile
    values = _new(Values, (notification["user_id"], kind, notification["data"], locale, known.values, zone))
    texts: dict[ProviderName, Text] = {}
    done: list[tuple[Chosen, Text]] = []
    for provider in dict.fromkeys(device.provider for device in devices):
        chosen = work.settings.choose(kind, locale, provider._value_)
        if isinstance(chosen, RenderFailed):
            return PoisonError("RENDER_FAILED", chosen.reason)
        if isinstance(profile, Lacking):
            names = missing_names(chosen, notification["title"], notification["body"], values)
            named = f"; its texts name {', '.join(names)}" if names else ""
            return PoisonError("RENDER_FAILED", f"profile: {profile.reason}{named}")
        text: Text | RenderFailed | None = next((text for variant, text in done if variant is chosen), None)
        if text is None:
            text = render(chosen, notification["title"], notification["body"], values)
        if isinstance(text, RenderFailed):
            return PoisonError("RENDER_FAILED", text.reason)
        texts[provider] = text
        done.append((chosen, text))
    return _new(Rendered, (texts, done[0][0].label))


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
        data={**text.data, **notification["data"]} if text.data else notification["data"],
        ttl_seconds=ttl_seconds,
        collapse_id=collapse_id(entry.slot),
        urgent=policy.urgent,
        image=text.image,
        link=text.link,
    )
