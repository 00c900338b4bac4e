"""How fast a worker answers about state, while the stream runs: locally, and where it asks another worker.

    python -m tests.benchmarks.bench_state [--per-second 200] [--events-per-second 500] [--seconds 60] [--json FILE]

Two workers with all stages, the simulators of the providers and the embedded broker share the machine with the client.
Events of a set rate, from a process of their own, run through all the time, three tenths of them to slots that are
free. Questions come at a set rate, whether or not the ones before are answered, each about something that was told: a
slot, a story, a user's recent ones, an explanation; half of them go to the worker that has the slot, half to the other
one. A user's recent ones are of all partitions, so that question always asks both. Time runs from the instant at which
a question was due. Each answer is checked to be about what was asked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import multiprocessing
import random
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import uvloop
from yarl import URL

from connectors.embedded_kafka import EmbeddedKafka
from schemas.keys import partition_of, slot_key
from streams.lane.garbage import collect_seldom
from streams.publish.publisher import Publisher
from streams.settings import Settings
from tests.benchmarks.results import measured_on, written_on
from tests.integration.system import PARTITIONS, System, event, system, web_url
from tests.integration.test_web import until_status

Event = tuple[str, str, str]
"""User, type and id."""

KINDS: Final = ("order_ready", "news", "digest")
QUESTIONS: Final = ("slot", "story", "recent", "explain")
SLOTS_FED: Final = 3_000  # events of the same slots come again and again: most are suppressed
WARM_SECONDS: Final = (
    75.0  # a broker's Java takes a minute to compile what this asks of it, and twice the CPU until then
)
CONFIRMED_EVENTS: Final = 50
LAG_SECONDS: Final = 3.0  # questions are about events that are at least so old
WANTED_MS: Final = {("slot", "local"): 20, ("story", "local"): 20}
WANTED_OF_TWO_MS: Final = 50  # where another worker is asked, too, and for an explanation, which reads much


@dataclass(frozen=True, slots=True)
class Asked:
    """What one kind of question took, in milliseconds."""

    question: str
    place: str
    count: int
    failed: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Found:
    """What was found. `client_late_p99_ms`: by how much the client itself was late to send, which is in all figures."""

    questions: list[Asked]
    events_per_second: int
    client_late_p99_ms: float


def told_events() -> Iterator[Event]:
    """The events of a run, the same in both processes, without an end."""
    chance = random.Random(7)
    for number in itertools.count():
        fresh = chance.random() < 0.3
        user = f"user-{chance.randrange(60):06d}" if chance.random() < 0.02 else None
        slot = number + SLOTS_FED if fresh else chance.randrange(SLOTS_FED)
        yield user or f"reader-{slot // len(KINDS)}", KINDS[slot % len(KINDS)], f"e{number}"


async def feed(settings: Settings, topic: str, per_second: int, confirmed: Any) -> None:
    """Produce events at a set rate until the process is ended, and count those that Kafka has confirmed."""
    collect_seldom()
    async with Publisher(settings, topic) as publisher:
        started_at = time.monotonic()
        for number, told in enumerate(told_events(), start=1):
            await publisher.publish(event(*told))
            if number % CONFIRMED_EVENTS == 0:  # what Kafka has not confirmed is not asked about
                await publisher.flush()
                confirmed.value = number
            ahead = started_at + number / per_second - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)


def feed_until_ended(settings: Settings, topic: str, per_second: int, confirmed: Any) -> None:
    """What the process of the events does."""
    uvloop.run(feed(settings, topic, per_second, confirmed))


class Stream:
    """Events at a set rate, from a process of their own: what making them takes is not the client's."""

    def __init__(self, running: System, per_second: int) -> None:
        self._per_second = per_second
        self._events = told_events()
        self._sent: list[Event] = []
        context = multiprocessing.get_context("spawn")
        self._confirmed = context.Value("Q", 0)
        arguments = (running.settings, running.topics.notifications, per_second, self._confirmed)
        self._process = context.Process(target=feed_until_ended, args=arguments, daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join(10)

    @property
    def confirmed(self) -> int:
        """How many events Kafka has."""
        return int(self._confirmed.value)

    def one(self, chance: random.Random) -> Event:
        """One that was sent a while ago."""
        old = max(1, self.confirmed - int(LAG_SECONDS * self._per_second))
        while len(self._sent) < old:
            self._sent.append(next(self._events))
        return self._sent[chance.randrange(old)]


class Client:
    """Asks, and notes how long it took."""

    def __init__(self, urls: Sequence[str], owners: dict[int, str]) -> None:
        self._urls = urls
        self._owners = owners
        self.took: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.failed: dict[tuple[str, str], int] = defaultdict(int)
        self.late_ms: list[float] = []

    async def ask(self, session: aiohttp.ClientSession, question: str, place: str, told: Event, due_at: float) -> None:
        """Ask one question that was due then."""
        self.late_ms.append((time.monotonic() - due_at) * 1000)
        user, kind, notification_id = told
        owner = self._owners[partition_of(slot_key(user, kind), PARTITIONS)]
        url = owner if place == "local" else next(each for each in self._urls if each != owner)
        paths = {
            "slot": f"/slots/{user}/{kind}",
            "story": f"/notifications/{user}/{kind}/{notification_id}",
            "recent": f"/users/{user}/notifications",
            "explain": f"/explain?user={user}&type={kind}&id={notification_id}",
        }
        try:
            async with session.get(URL(url + paths[question], encoded=True)) as answer:
                body = await answer.read()
        except aiohttp.ClientError as error:
            self.failed[question, place] += 1
            print(f"{question} {place}: {error!r}", file=sys.stderr)
            return
        self.took[question, place].append((time.monotonic() - due_at) * 1000)
        # A slot may have become free: its holder had no device. That is an answer, too.
        good = answer.status == 200 or (question == "slot" and answer.status == 404)
        if not good or (answer.status == 200 and user not in body.decode()):
            self.failed[question, place] += 1
            print(f"{question} {place}: {answer.status} {body[:300]!r}", file=sys.stderr)


async def measure(stream: Stream, urls: Sequence[str], per_second: int, seconds: float) -> Found:
    """Ask for so long."""
    collect_seldom()  # else it is the client that now and then stands still for a tenth of a second
    owners: dict[int, str] = {}
    for url in urls:
        ready = await asyncio.to_thread(until_status, f"{url}/health/ready", 200)
        owners |= dict.fromkeys(ready.json()["partitions"]["suppress"], url)
    client, chance = Client(urls, owners), random.Random(8)
    kinds = list(itertools.product(QUESTIONS, ("local", "forwarded")))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.sleep(WARM_SECONDS)
        confirmed = stream.confirmed
        tasks = []
        started_at = time.monotonic()
        for number in range(int(per_second * seconds)):
            due_at = started_at + number / per_second
            if (ahead := due_at - time.monotonic()) > 0:
                await asyncio.sleep(ahead)
            question, place = kinds[number % len(kinds)]
            asking = client.ask(session, question, place, stream.one(chance), due_at)
            tasks.append(asyncio.create_task(asking))
        await asyncio.gather(*tasks)
        rate = (stream.confirmed - confirmed) / (time.monotonic() - started_at)
    late_ms = sorted(client.late_ms)
    late_p99_ms = round(late_ms[int(len(late_ms) * 0.99)], 1)
    return Found([_asked(client, *each) for each in kinds], round(rate), late_p99_ms)


def _asked(client: Client, question: str, place: str) -> Asked:
    took = sorted(client.took[question, place])
    return Asked(
        question,
        place,
        len(took),
        client.failed[question, place],
        round(took[len(took) // 2], 1),
        round(took[int(len(took) * 0.99)], 1),
        round(took[-1], 1),
    )


def write(found: Found, command: str, arguments: argparse.Namespace) -> str:
    """Return the table, and write it where it is asked for."""
    on = measured_on(command, PARTITIONS)
    lines = ["| question | asked of | p50 | p99 | most | wanted p99 | failed |", "|---|---|---:|---:|---:|---:|---:|"]
    places = {"local": "the worker that has it", "forwarded": "the other one"}
    for each in found.questions:
        lines.append(
            f"| {each.question} | {places[each.place]} | {each.p50_ms} ms | {each.p99_ms} ms | {each.max_ms} ms | "
            f"< {WANTED_MS.get((each.question, each.place), WANTED_OF_TWO_MS)} ms "
            f"| {each.failed} of {each.count:,} |"
        )
    lines += [
        "",
        f"{arguments.per_second} questions a second for {arguments.seconds:g} s, after {WARM_SECONDS:g} s of "
        f"the stream alone, beside {found.events_per_second} events a second through all stages; two workers, "
        "simulators, broker and client share the machine. A user's recent ones are of both workers, whoever is asked. "
        "From the instant at which a question was due; the client itself was late by "
        f"{found.client_late_p99_ms} ms at p99, which is in all of it.",
        *written_on(on),
    ]
    table = "\n".join(lines)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        document = {**on, **asdict(found)}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        arguments.json.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    return table


def main() -> None:
    """Measure, print the table, and write it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-second", type=int, default=200)
    parser.add_argument("--events-per-second", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path, help="the results, in full; beside it the table, with .md")
    parser.add_argument("--bootstrap", help="a Kafka that runs already, instead of an embedded one")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bootstrap = arguments.bootstrap or stack.enter_context(EmbeddedKafka()).bootstrap
        running = stack.enter_context(system(bootstrap, f"b{uuid.uuid4().hex[:8]}-", directory))
        urls = [web_url(running.worker(name)) for name in ("one", "two")]
        running.wait_for_devices()
        stream = stack.enter_context(Stream(running, arguments.events_per_second))
        found = uvloop.run(measure(stream, urls, arguments.per_second, arguments.seconds))
    command = f"python -m tests.benchmarks.bench_state {' '.join(sys.argv[1:])}".strip()
    print(write(found, command, arguments))


if __name__ == "__main__":
    main()
