"""What the profile of a user costs deliver, for each notification: reading its row, or asking what is remembered.

    python -m tests.benchmarks.bench_profiles [--users N] [--chunk N] [--rounds N]

On a real RocksDB, without Kafka. Every way reads devices and preferences of the same users and renders the same text,
as deliver does when it opens entries; they differ in where the name comes from. The ways take turns, round by round.
The figures are medians over the rounds, in microseconds for each notification; compare ratios rather than figures.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from streams.policies.preferences import NO_PREFERENCES
from streams.policies.profiles import NEEDS_NONE, NO_PROFILE, Profile, ProfilePolicy, with_profile
from streams.policies.rendering import Text, TypeTemplate, Values, Variant, VariantKey, compile_source, render
from streams.profiles.cache import ProfileCache
from streams.stages.deliver_entry import Entry, read_entry
from streams.stages.deliver_profiles import Lookups, find_profile
from streams.stages.deliver_step import DeliverStep
from streams.stages.delivery_rows import devices_key, read_devices, write_devices
from streams.stages.directory_rows import preferences_key, profile_key, read_preferences, read_profile
from tests.simulation.deliver_world import CODEC, NOW, TOPICS, DeliverWorld, phone

TITLE, BODY = "Order {{ order }} is ready", "Hi {{ name | default('there') }}, your order {{ order }} is ready!"
TEMPLATE = TypeTemplate("t", "1", "test", {VariantKey(): Variant(compile_source(TITLE), compile_source(BODY))})
CACHE_BYTES = 256 * 1024 * 1024
NEED = ProfilePolicy()


class Remembering:
    """A source whose every answer is remembered, as that of the user service after its first one."""

    def __init__(self, users: Sequence[str]) -> None:
        cache = ProfileCache(CACHE_BYTES, 3_600.0, 60.0, time.monotonic)
        for user in users:
            cache.put(user, Profile({"name": f"Ada {user}", "city": "Wien"}))
        self.known, self.forget = cache.get, cache.forget

    async def fetch(self, user_id: str) -> Profile:
        """Never asked."""
        raise AssertionError("it is remembered")


def make_entries(world: DeliverWorld, users: Sequence[str]) -> list[Entry]:
    """An entry for each of these users."""
    start = world.log.end(TOPICS.outbox, 0)
    for user in users:
        world.delivery("n", user, data={"order": "1234"})
    chunk = world.log.chunk(TOPICS.outbox, 0, start, len(users))
    assert chunk is not None, "it was just written"
    return [read_entry(record, TOPICS.outbox, CODEC, world.lane.settings) for record in chunk.records]


def fill(world: DeliverWorld, users: Sequence[str]) -> None:
    """Devices of all users, and a profile of every second one."""
    rows: dict[bytes, bytes | None] = {}
    for number, user in enumerate(users):
        rows[devices_key(user.encode())] = write_devices(user, [phone(user)])
        if number % 2 == 0:
            record = {"user_id": user, "name": f"Ada {user}", "locale": "de-AT", "fields": {"city": "Wien"}}
            rows[profile_key(user.encode())] = CODEC.encode("Profile", record)
    world.tables["directory"].apply(0, rows, 0)


def opened(work: DeliverStep, lookups: Lookups, entries: Sequence[Entry], need: ProfilePolicy) -> Sequence[Text]:
    """The texts of all entries."""
    keys = [devices_key(entry.user) for entry in entries] + [preferences_key(entry.user) for entry in entries]
    if need.need != "none":
        keys += [profile_key(entry.user) for entry in entries]
    rows = work.directory_rows(keys)
    profiles = rows[2 * len(entries) :] or [None] * len(entries)
    texts: list[Text] = []
    for entry, devices, wishes, row in zip(entries, rows, rows[len(entries) :], profiles, strict=False):
        targets, preferences, profile = read_devices(devices), read_preferences(wishes), NO_PROFILE
        if need.need != "none":
            found = find_profile(work, lookups, entry, targets, preferences, row)
            assert isinstance(found, Profile), "none of them waits"
            profile, preferences = found, with_profile(preferences, found)
        notification = entry.delivery["notification"]
        values = Values(notification["user_id"], "t", notification["data"], preferences.locale, profile.values)
        text = render(TEMPLATE.choose(preferences.locale, "apns"), None, None, values)
        assert isinstance(text, Text), "it can be rendered"
        texts.append(text)
    return texts


async def measure(users: int, chunk: int, rounds: int, directory: Path) -> dict[str, float]:
    """Microseconds for each notification, by the way in which its profile is found."""
    world = DeliverWorld(directory)
    names = [f"user-{number:07d}" for number in range(users)]
    fill(world, names)
    world.start()
    await world.crash()  # only its tables and settings are used
    work = DeliverStep(world.lane, NOW, 0.0)
    without = Lookups(None, lambda: NOW, lambda: None)
    remembered = Lookups(Remembering(names), lambda: NOW, lambda: None)
    step = max(1, users // chunk)
    with_row = make_entries(world, names[::step][:chunk] if step % 2 == 0 else names[::2][:chunk])
    without_row = make_entries(world, names[1::2][:chunk])

    def decoded_anew() -> Sequence[Text]:
        read_profile.cache_clear()
        return opened(work, without, with_row, NEED)

    ways: dict[str, Callable[[], Sequence[Text]]] = {
        "type that needs none": lambda: opened(work, without, without_row, NEEDS_NONE),
        "no record on the topic, no user service": lambda: opened(work, without, without_row, NEED),
        "remembered of the user service": lambda: opened(work, remembered, without_row, NEED),
        "type that needs none, users with a record": lambda: opened(work, without, with_row, NEEDS_NONE),
        "record on the topic, read before": lambda: opened(work, without, with_row, NEED),
        "record on the topic, read for the first time": decoded_anew,
    }
    assert opened(work, without, with_row, NEED)[0].body.startswith("Hi Ada")
    assert opened(work, remembered, without_row, NEED)[0].body.startswith("Hi Ada")
    assert preferences_are_none(work, with_row)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) * 1e6 / chunk for name, each in seconds.items()}


def preferences_are_none(work: DeliverStep, entries: Sequence[Entry]) -> bool:
    """Whether nobody has preferences, so that they cost the same everywhere."""
    rows = work.directory_rows([preferences_key(entry.user) for entry in entries])
    return all(read_preferences(row) is NO_PREFERENCES for row in rows)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=50_000, help="users in the directory")
    parser.add_argument("--chunk", type=int, default=500, help="notifications opened at once")
    parser.add_argument("--rounds", type=int, default=101)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(measure(arguments.users, arguments.chunk, arguments.rounds, Path(directory)))
    base = 0.0
    for name, microseconds in found.items():
        base = microseconds if name.startswith("type that needs none") else base
        print(f"{name:48} {microseconds:7.2f} µs   {microseconds - base:+6.2f}")


if __name__ == "__main__":
    main()
