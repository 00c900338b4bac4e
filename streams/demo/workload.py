"""What the demo plays: users with devices, and a stream of events with repeats, schedules, duplicates and poison."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.codec import Codec
from schemas.keys import slot_key

TYPES: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("order_ready", {"name": "Alice", "order": "1234"}),
    ("price_alert", {"symbol": "RNG", "price": "101.50", "limit": "100"}),
    ("chat_message", {"sender": "Bob", "text": "Are you there?"}),
)
PROVIDERS = ("apns", "fcm", "webpush", "webhook")
REPEATS = 0.70  # so many events are for a slot that had one before
SCHEDULED = 0.10
DUPLICATES = 0.02
POISON = 0.003


@dataclass(frozen=True, slots=True)
class Plan:
    """How large the demo is. `schedule_seconds`: scheduled ones are due within this time."""

    users: int
    events: int
    seed: int
    schedule_seconds: float


class Message(NamedTuple):
    """One record to produce; `identity` is (user, type, notification id), None for poison."""

    key: bytes | None
    value: bytes | None
    identity: tuple[str, str, str] | None


def devices(codec: Codec, plan: Plan, addresses: Mapping[str, Sequence[Any]], now: int) -> Iterator[Message]:
    """Give each user one device, every tenth a second one of another provider."""
    taken = dict.fromkeys(PROVIDERS, 0)
    for number in range(plan.users):
        user = user_id(number)
        listed = []
        for extra in range(2 if number % 10 == 0 else 1):
            provider = PROVIDERS[(number + extra) % len(PROVIDERS)]
            address = addresses[provider][taken[provider]]
            taken[provider] += 1
            listed.append(_device(provider, address, now))
        value = codec.encode("Devices", {"user_id": user, "devices": listed}, None)
        yield Message(user.encode(), value, None)


def addresses_needed(plan: Plan) -> int:
    """Return how many addresses of each provider are enough for all users."""
    return plan.users // len(PROVIDERS) + plan.users // 10 + 10


def user_id(number: int) -> str:
    """Return the name of a user."""
    return f"user-{number:06d}"


def _device(provider: str, address: Any, now: int) -> dict[str, Any]:
    device = {"device_id": provider, "provider": provider.upper(), "registered_at": now}
    if provider == "webpush":
        return {**device, "address": address["endpoint"], "p256dh": address["p256dh"], "auth": address["auth"]}
    return {**device, "address": address}


def events(codec: Codec, plan: Plan, now: int) -> Iterator[Message]:
    """Yield the stream, the same for the same seed but for the ids' moment in time."""
    chance = random.Random(plan.seed)
    slots: list[tuple[str, int]] = []
    last: Message | None = None
    for number in range(plan.events):
        if chance.random() < POISON:
            yield _poison(codec, chance, number, now)
            continue
        if last is not None and chance.random() < DUPLICATES:
            yield last
            continue
        if slots and chance.random() < REPEATS:
            user, kind = chance.choice(slots)
        else:
            user, kind = user_id(chance.randrange(plan.users)), chance.randrange(len(TYPES))
            slots.append((user, kind))
        send_at = None
        if chance.random() < SCHEDULED:
            send_at = now + int(chance.uniform(0.2, 1.0) * plan.schedule_seconds * 1000)
        last = _event(codec, chance, user, kind, now, send_at)
        yield last


def _event(codec: Codec, chance: random.Random, user: str, kind: int, now: int, send_at: int | None) -> Message:
    name, data = TYPES[kind]
    notification_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    notification = {
        "notification_id": notification_id,
        "user_id": user,
        "type": name,
        "created_at": now,
        "send_at": send_at,
        "data": data,
    }
    return Message(slot_key(user, name), codec.encode("Notification", notification), (user, name, notification_id))


def _poison(codec: Codec, chance: random.Random, number: int, now: int) -> Message:
    good = _event(codec, chance, f"poison-{number}", 0, now, None)
    assert good.value is not None and good.key is not None, "just made"
    broken: tuple[Message, ...] = (
        Message(good.key, b"\x01\x02 not avro", None),
        Message(good.key, good.value[:-5], None),
        Message(good.key, good.value + b"!", None),
        Message(good.key, b"\xc3\x01" + b"nobody's" + good.value[10:], None),
        Message(b"somebody:else", good.value, None),
        Message(None, good.value, None),
        Message(good.key, None, None),
    )
    return broken[number % len(broken)]
