"""The simulated Kafka behaves as the real one where the promise rests on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from aiokafka.errors import InvalidTxnState, ProducerFenced

from tests.simulation.simulated_broker import SimulatedBroker
from tests.simulation.simulated_loop import ACTOR, Actor, SimulatedLoop, StuckError

T0, T1 = ("t", 0), ("t", 1)
SECONDS_MAX = 30.0


@pytest.fixture
def loop() -> Iterator[SimulatedLoop]:
    """A loop at the beginning of its time."""
    made = SimulatedLoop(Random(1))
    yield made
    made.close()


@pytest.fixture
def broker(loop: SimulatedLoop) -> SimulatedBroker:
    """A broker whose topic `log` has the broker's time."""
    return SimulatedBroker(loop, lambda topic: topic == "log", lambda who, what: None)


def values(broker: SimulatedBroker, place: tuple[str, int], committed_only: bool = True) -> list[bytes | None]:
    """What a reader sees from the beginning."""
    chunk = broker.fetch(place, 0, 100, committed_only)
    return [] if chunk is None else [record.value for record in chunk.records]


def test_a_transaction_is_seen_whole_or_not_at_all(broker: SimulatedBroker) -> None:
    """Nothing before the commit, nor what comes after an open one; markers take an offset each."""
    writer = ("id", broker.fence("id"), SECONDS_MAX)
    broker.append(T0, [(None, b"1", [])], 0, writer)
    broker.append(T0, [(None, b"2", [])], 0)
    broker.add_offsets({T1: 7}, writer)
    assert (values(broker, T0), broker.end(T0), broker.committed) == ([], 0, {})
    assert values(broker, T0, committed_only=False) == [b"1", b"2"]
    broker.commit("id", 0)
    assert (values(broker, T0), broker.end(T0), broker.committed) == ([b"1", b"2"], 3, {T1: 7})


def test_a_new_owner_fences_the_old_one(broker: SimulatedBroker) -> None:
    """What was open is aborted and never seen; the old one can neither write nor commit."""
    old = ("id", broker.fence("id"), SECONDS_MAX)
    broker.append(T0, [(None, b"1", [])], 0, old)
    new = ("id", broker.fence("id"), SECONDS_MAX)
    for forbidden in (lambda: broker.append(T0, [], 0, old), lambda: broker.commit("id", 0)):
        with pytest.raises(ProducerFenced):
            forbidden()
    broker.append(T0, [(None, b"2", [])], 0, new)
    broker.commit("id", 1)
    assert values(broker, T0) == [b"2"]


def test_a_transaction_of_a_silent_producer_is_aborted(broker: SimulatedBroker, loop: SimulatedLoop) -> None:
    """After its time the readers go on, and it is fenced."""
    writer = ("id", broker.fence("id"), SECONDS_MAX)
    broker.append(T0, [(None, b"1", [])], 0, writer)
    run_for(loop, SECONDS_MAX + 1)
    assert (values(broker, T0), broker.end(T0)) == ([], 2)
    with pytest.raises(ProducerFenced):
        broker.commit("id", 0)


def test_an_empty_transaction_has_nothing_to_commit(broker: SimulatedBroker) -> None:
    """A commit without a write is an error, as for a real broker."""
    epoch = broker.fence("id")
    with pytest.raises(InvalidTxnState):
        broker.commit("id", epoch)


def run_for(loop: SimulatedLoop, seconds: float) -> None:
    """Let time go by."""
    ended = loop.create_future()
    loop.call_later(seconds, ended.set_result, None)
    loop.run_until_complete(ended)


def noting(loop: SimulatedLoop, actor: Actor, notes: list[tuple[str, float]]) -> Callable[[], None]:
    """A callback that is the actor's."""

    def note() -> None:
        notes.append((ACTOR.get().name, loop.time()))

    loop.call_later(1.0, note, context=actor.context)
    return note


def test_time_jumps_to_the_next_timer(loop: SimulatedLoop) -> None:
    """An hour takes no time."""
    run_for(loop, 3_600.0)
    assert loop.time() == 3_600.0


def test_a_paused_actor_does_later_what_was_due_and_a_dead_one_never(loop: SimulatedLoop) -> None:
    """Time goes on meanwhile.

    0     1 s: due       5 s: goes on
    |-----|--------------|
    """
    notes: list[tuple[str, float]] = []
    sleeper, dead, well = Actor("sleeper"), Actor("dead"), Actor("well")
    for actor in (sleeper, dead, well):
        noting(loop, actor, notes)
    loop.pause(sleeper)
    loop.kill(dead)
    loop.call_later(5.0, loop.resume, sleeper)
    run_for(loop, 10.0)
    assert notes == [("well", 1.0), ("sleeper", 5.0)]


def test_a_world_in_which_nothing_happens_any_more_says_so(loop: SimulatedLoop) -> None:
    """Waiting for what never comes is an error, not an endless loop."""
    with pytest.raises(StuckError):
        loop.run_until_complete(loop.create_future())
