"""What happens in one simulated world, as a function of the seed alone: events, moods of providers, faults. Pure.

Events come in episodes: many for a few slots, so close together that the end of a hold never goes unnoticed. Faults
strike where episodes are; hours may pass between two of them, which cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal, NamedTuple

from tests.simulation.simulated_providers import MOODS

TYPES: Final[dict[str, Any]] = {
    "defaults": {"title": "{{ type }}", "backoff_seconds_first": 0.5, "backoff_seconds_max": 8.0},
    "types": {
        "hour": {},
        "blink": {"window_seconds": 5, "send_within_seconds": 2},
        "minute": {"window_seconds": 60, "send_within_seconds": 20, "attempts": 3},
        "pair": {"window_seconds": 40, "limit": 2, "send_within_seconds": 10},
        "sure": {"window_seconds": 60, "send_within_seconds": 40, "on_unknown": "resend"},
        "newest": {"window_seconds": 90, "devices": "newest"},
    },
    "allow_unknown": False,
}
# How far apart the events of an episode are on average, how many they are: an episode is longer than a hold.
PACE: Final[dict[str, tuple[float, int]]] = {
    "hour": (300.0, 26),
    "blink": (1.0, 70),
    "minute": (3.0, 60),
    "pair": (2.0, 60),
    "sure": (4.0, 60),
    "newest": (12.0, 60),
}
SMALL_SKEW_MS: Final = 2_400  # the clocks of two workers differ by less than the allowance of 5 s
USERS: Final = 8
PROVIDERS: Final = ("APNS", "FCM", "WEBPUSH")
# Those that an outcome is most easily taken for another in come more often.
HARD_MOODS: Final = ("hang", "hang", "very slow", "unavailable but delivered", "internal but delivered", "throttle")
TOLD_SHARE: Final = 0.4
CAPPED_SHARE: Final = 0.3
CAPS: Final[tuple[list[dict[str, int]], ...]] = (
    [{"limit": 1, "window_seconds": 20}],
    [{"limit": 2, "window_seconds": 60}],
    [{"limit": 3, "window_seconds": 120}, {"limit": 8, "window_seconds": 3_600}],
)
CAP_WORDS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {},
    {},
    {"on_cap": "defer", "hold_seconds_max": 1_200},
    {"ignores_cap": True},
    {"counts_for_cap": False},
)
# Where a fault may wait for its moment: before a request of this name leaves, or after it took effect.
EDGES: Final = (
    "after write",
    "after write",
    "before append ringonce-deliveries",
    "before commit ringonce-deliver",
    "after commit ringonce-deliver",
    "before commit ringonce-suppress",
    "after commit ringonce-suppress",
    "before commit ringonce-schedule",
    "after commit ringonce-schedule",
    "before offsets",
    "after fence",
    "before replay",
)


class Event(NamedTuple):
    """An event that is produced `at` seconds. `astray`: by a producer with another partitioner.

    `command`: it is none, but cancels the event of this id, or moves it to `send_in`.
    """

    at: float
    user: str
    type: str
    notification_id: str
    send_in: float | None = None
    expires_in: float | None = None
    created_ago: float = 0.0
    astray: bool = False
    poison: int = 0
    command: Literal["", "cancel", "move"] = ""


class Telling(NamedTuple):
    """A broadcast that is started `at` seconds. `users`: its list, empty: everybody. `orders`: seconds and action."""

    at: float
    broadcast_id: str
    type: str
    users: tuple[str, ...]
    per_second: int
    orders: tuple[tuple[float, str], ...]


class Fault(NamedTuple):
    """A fault. What `whom` and `value` mean, the kind says.

    `name`: the mood of a provider; for what strikes a process, the edge that it waits for, empty: it does not.
    """

    at: float
    kind: str
    seconds: float = 0.0
    whom: int = 0
    value: float = 0.0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`edge_rate`: how often a request to the broker or to a provider is met by a kill or a pause."""

    seed: int
    workers: int
    partitions: int
    hours: float
    edge_rate: float
    events: list[Event] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    devices: dict[str, list[str]] = field(default_factory=dict)
    quiet_minutes: dict[str, tuple[int, int]] = field(default_factory=dict)
    opted_out: dict[str, list[str]] = field(default_factory=dict)
    caps: list[dict[str, int]] = field(default_factory=list)
    capped: dict[str, dict[str, Any]] = field(default_factory=dict)
    tellings: list[Telling] = field(default_factory=list)

    def types(self) -> dict[str, Any]:
        """The types file of this world: where there are caps, some types have a word to say about them."""
        types = {name: {**table, **self.capped.get(name, {})} for name, table in TYPES["types"].items()}
        return {**TYPES, "types": types, "cap": self.caps}


def scenario_of(seed: int, hours: float | None = None) -> Scenario:
    """The scenario of a seed. `hours`: other than the seed says."""
    chance = Random(f"scenario {seed}")
    length = chance.choice((4.0, 12.0, 30.0))
    scenario = Scenario(
        seed,
        workers=chance.randint(2, 5),
        partitions=chance.choice((2, 3, 4)),
        hours=length if hours is None else hours,
        edge_rate=chance.choice((0.0, 0.0, 0.001, 0.004)),
    )
    for number in range(USERS):
        devices = chance.choices(PROVIDERS, k=chance.choice((1, 1, 1, 1, 2, 3)) if number else 0)
        scenario.devices[f"u{number}"] = devices
        if number in (1, 2):
            start = chance.randrange(1_440)
            scenario.quiet_minutes[f"u{number}"] = (start, (start + chance.choice((5, 60, 110))) % 1_440)
        if number == USERS - 1:
            scenario.opted_out[f"u{number}"] = [chance.choice(list(PACE))]
    for number in range(round(4 + scenario.hours / 6)):
        _episode(chance, scenario, number)
    _caps(Random(f"caps {seed}"), scenario)
    _tellings(Random(f"broadcasts {seed}"), scenario)
    scenario.events.sort()
    scenario.faults.sort()
    return scenario


def _caps(chance: Random, scenario: Scenario) -> None:
    """In some worlds users have caps, and are told things of many types at once."""
    if chance.random() > CAPPED_SHARE:
        return
    scenario.caps.extend(chance.choice(CAPS))
    for name in TYPES["types"]:
        scenario.capped[name] = chance.choice(CAP_WORDS)
    types: dict[str, str] = {}
    for index, event in enumerate(scenario.events):
        other = chance.choice(list(PACE)) if chance.random() < 0.5 else event.type
        kind = types.setdefault(event.notification_id, other)
        scenario.events[index] = event._replace(type=kind)


def _tellings(chance: Random, scenario: Scenario) -> None:
    """In some worlds everybody is told something, or some are, slowly, while workers die of it."""
    if chance.random() > TOLD_SHARE:
        return
    everybody = sorted(scenario.devices)
    for number in range(chance.choice((1, 1, 2))):
        at = chance.choice(scenario.events).at + chance.uniform(0.0, 5.0)
        users = tuple(chance.choices([*everybody, "stranger"], k=6)) if chance.random() < 0.3 else ()
        orders: list[tuple[float, str]] = []
        if chance.random() < 0.5:
            paused_at = at + chance.uniform(0.0, 4.0)
            orders = [
                (paused_at, "PAUSE"),
                (paused_at + chance.uniform(0.1, 600.0), chance.choice(("RESUME", "CANCEL"))),
            ]
        kind = chance.choice(list(PACE))
        pace = chance.choice((1, 2, 5, 1_000))
        scenario.tellings.append(Telling(at, f"b{number}", kind, users, pace, tuple(orders)))
        for _ in range(chance.choice((0, 1, 2, 3))):
            fault = chance.choice(("kill", "kill_wipe", "pause", "all_killed"))
            seconds = chance.choice((0.5, 5.0, 40.0)) * chance.random()
            edge = chance.choice(("before", "after")) + " commit ringonce-broadcast"
            struck = at + chance.uniform(-1.0, 6.0)
            scenario.faults.append(Fault(struck, fault, seconds, chance.randrange(scenario.workers), 0.0, edge))


def _episode(chance: Random, scenario: Scenario, number: int) -> None:
    kind = chance.choices(list(PACE), [1, 3, 1, 1, 2, 1])[0]
    pace, count = PACE[kind]
    start = 30.0 + chance.random() * max(60.0, scenario.hours * 3600 - pace * count)
    users = chance.sample(sorted(scenario.devices), chance.choice((1, 1, 2, 3)))
    quiet = chance.random() < 0.3  # without a word of schedule and expiry, a slot is under the densest fire
    at = start
    first: list[Event] = []
    for index in range(count):
        at += chance.expovariate(1 / pace)
        event = Event(at, chance.choice(users), kind, f"e{number}-{index}")
        if not quiet:
            event = _varied(chance, event, pace * count)
        first.append(event)
        if event.send_in is not None and chance.random() < 0.5:
            first.append(_command(chance, event))
        if chance.random() < 0.05:
            again = chance.choice((0.001, 1.0, 30.0, 400.0, 7_000.0, 40_000.0, 80_000.0)) * (0.5 + chance.random() / 2)
            first.append(event._replace(at=at + again, send_in=None, expires_in=None))
    scenario.events.extend(first)
    _faults(chance, scenario, users, start, at - start)


def _command(chance: Random, event: Event) -> Event:
    """A cancel or a move, mostly while it is pending, sometimes before it is there or after it was released."""
    at = event.at + chance.uniform(-1.0, 1.2 * max(1.0, event.send_in or 0.0))
    command: Literal["cancel", "move"] = "cancel" if chance.random() < 0.6 else "move"
    return event._replace(at=at, command=command, send_in=chance.uniform(-1.0, 60.0), poison=0)


def _varied(chance: Random, event: Event, length: float) -> Event:
    dice = chance.random()
    if dice < 0.08:
        return event._replace(send_in=chance.uniform(-5.0, length))
    if dice < 0.14:
        return event._replace(expires_in=chance.choice((-1.0, 0.5, 3.0, 30.0)) * chance.random())
    if dice < 0.16:
        return event._replace(send_in=chance.uniform(0.0, 20.0), expires_in=chance.uniform(-5.0, 40.0))
    if dice < 0.22:
        return event._replace(created_ago=chance.choice((10.0, 4_000.0, 100_000.0)))
    if dice < 0.25:
        return event._replace(astray=True)
    if dice < 0.26:
        return event._replace(poison=chance.randint(1, 5))
    return event


def _faults(chance: Random, scenario: Scenario, users: list[str], start: float, length: float) -> None:
    length = min(length, 600.0) if chance.random() < 0.8 else length
    faults = scenario.faults

    def when() -> float:
        return start + chance.uniform(-2.0, length)

    met = [PROVIDERS.index(provider) for user in users for provider in scenario.devices[user]] or [0]
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        mood = chance.choice([*MOODS, *HARD_MOODS])
        share = chance.choice((0.1, 0.5, 1.0))
        seconds = chance.choice((3.0, 20.0, 60.0, length))
        faults.append(Fault(when(), "mood", seconds, chance.choice(met), share, mood))
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        kind = chance.choice(("kill", "kill", "kill_wipe", "pause", "pause", "pause", "leave", "all_killed"))
        seconds = chance.choice((0.0, 2.0, 20.0, 60.0, 400.0)) * chance.random()
        edge = chance.choice(EDGES) if kind != "leave" and chance.random() < 0.7 else ""
        faults.append(Fault(when(), kind, seconds, chance.randrange(scenario.workers), 0.0, edge))
    if chance.random() < 0.15:
        faults.append(Fault(when(), "broker", chance.choice((0.5, 5.0, 40.0)) * chance.random()))
    if chance.random() < 0.3:
        off = chance.randint(-SMALL_SKEW_MS, SMALL_SKEW_MS)
        faults.append(Fault(when(), "clock", 0.0, chance.randrange(scenario.workers), off))
    if chance.random() < 0.25:
        far = chance.choice((-1, 1, 1)) * chance.choice((4.0, 10.0, 70.0, 3_700.0, 90_000.0)) * 1_000
        seconds = chance.choice((0.1, 1.0, 8.0, 120.0)) * chance.random()
        faults.append(Fault(when(), "clock_far", seconds, chance.randrange(scenario.workers), far))
    if chance.random() < 0.1:
        faults.append(Fault(when(), "lose_chunk"))
    for _ in range(chance.choice((0, 1, 1, 2))):
        faults.extend(_plot(chance, scenario.workers, when(), chance.choice(met)))


def _plot(chance: Random, workers: int, at: float, provider: int) -> list[Fault]:
    """Faults that do little by themselves and much together: what chance alone would bring together too seldom."""
    anyone = chance.randrange(workers)
    match chance.choice(("orphan", "orphan", "nobody", "nobody", "sleeper", "glitch")):
        case "orphan":  # a request that is under way for long, and nobody who waits for its answer
            kind = chance.choice(("pause", "kill"))
            hangs = Fault(at - 1.0, "mood", 60.0, provider, 1.0, chance.choice(("hang", "very slow")))
            return [hangs, Fault(at, kind, chance.uniform(2.0, 60.0), anyone, 0.0, "after write")]
        case "nobody":  # a notification is admitted, and for longer than a hold nobody looks at it
            edge = chance.choice(("after commit ringonce-suppress", "before commit ringonce-deliver"))
            return [Fault(at, "all_killed", chance.uniform(30.0, 150.0), anyone, 0.0, edge)]
        case "sleeper":  # a claim is made, and its owner sleeps over it
            return [Fault(at, "pause", chance.uniform(5.0, 60.0), anyone, 0.0, "after commit ringonce-deliver")]
        case _:  # a clock that is wrong for seconds, now and then, once right after a step and before the next one
            far = chance.choice((-1, 1, 1)) * chance.choice((10.0, 70.0, 3_700.0)) * 1_000
            edges = ("", "", chance.choice(("after commit ringonce-suppress", "after commit ringonce-deliver")))
            return [
                Fault(at + 20.0 * number, "clock_far", chance.uniform(0.2, 6.0), anyone, far, edge)
                for number, edge in enumerate(edges)
            ]
