"""The same suite with many pushes at once: queues, connections that come and go, and storms of faults."""

from __future__ import annotations

import asyncio
import time

import pytest

from connectors.outcome import Accepted, NotSent, ProviderName, Unknown
from connectors.simulators import Fault
from tests.integration.connector_world import HANG_SECONDS, OVER_HTTP1, InWorld, World


def test_a_deadline_that_passes_in_the_queue_is_kept(in_world: InWorld) -> None:
    """Of many pushes that wait for a stream, those whose time runs out meanwhile are not written.

    0 ms      20 pushes, 1 stream per connection, each answer after 50 ms
    120 ms    deadline: what has started by then is accepted, the rest never arrives
    """

    async def scenario(world: World) -> None:
        getattr(world.simulators, world.name).listener.max_concurrent_streams = 1
        assert isinstance(await world.send(), Accepted)
        world.faults.set(Fault.SLOW, seconds=0.05)
        deadline = time.monotonic() + 0.12
        pushes = [world.push() for _ in range(20)]
        outcomes = await asyncio.gather(*(world.send(push, lambda: time.monotonic() < deadline) for push in pushes))
        shown = world.shown()
        for push, outcome in zip(pushes, outcomes, strict=True):
            if isinstance(outcome, Accepted):
                assert shown[push.push_id] == 1
            else:
                assert outcome == NotSent("deadline_passed", retry=False)
                assert shown[push.push_id] == 0
        assert any(isinstance(outcome, NotSent) for outcome in outcomes)

    in_world(scenario)


def test_a_push_that_never_gets_a_stream_is_certainly_not_sent(in_world: InWorld) -> None:
    """A time-out in our own queue is no time-out on the wire."""

    async def scenario(world: World) -> None:
        getattr(world.simulators, world.name).listener.max_concurrent_streams = 1
        assert isinstance(await world.send(), Accepted)
        world.faults.set(Fault.HANG)
        world.set_timeout(HANG_SECONDS)
        pushes = [world.push() for _ in range(10)]
        outcomes = await asyncio.gather(*(world.send(push) for push in pushes))
        world.faults.clear()
        world.set_timeout(20.0)
        assert isinstance(await world.send(), Accepted)  # behind it nothing of the above is under way
        shown = world.shown()
        for push, outcome in zip(pushes, outcomes, strict=True):
            assert outcome in (Unknown("timeout"), NotSent("queue_timeout", retry=True))
            assert isinstance(outcome, Unknown) or shown[push.push_id] == 0
        assert {type(outcome) for outcome in outcomes} == {Unknown, NotSent}

    in_world(scenario)


@pytest.mark.parametrize("every", [1, 7, 50])
def test_goaway_loses_nothing_and_doubles_nothing(in_world: InWorld, every: int) -> None:
    """A server that goes away every few requests: each push is accepted, and is on record exactly once."""

    async def scenario(world: World) -> None:
        pushes = [world.push() for _ in range(100)]
        if every > 1:
            world.faults.set(Fault.GOAWAY_EVERY, every=every)
        else:
            world.faults.set(Fault.GOAWAY_EVERY, every=1, count=5)
        outcomes = await asyncio.gather(*(world.send_until_final(push) for push in pushes))
        assert {type(outcome) for outcome in outcomes} == {Accepted}
        assert world.shown() == {push.push_id: 1 for push in pushes}

    in_world(scenario)


@pytest.mark.parametrize("in_world", [ProviderName.APNS, ProviderName.FCM, ProviderName.WEBPUSH], indirect=True)
def test_credentials_that_run_out_in_the_middle_cost_nothing(in_world: InWorld) -> None:
    """Pushes go on over the end of a token's life, and over a token that the provider calls expired."""

    async def scenario(world: World) -> None:
        pushes = [world.push() for _ in range(100)]
        for batch in (pushes[:25], pushes[25:50], pushes[50:75]):
            assert {type(outcome) for outcome in await asyncio.gather(*map(world.send, batch))} == {Accepted}
            world.clock.skip(3_700)
        world.faults.set(Fault.EXPIRE_TOKENS, count=1)
        assert {type(outcome) for outcome in await asyncio.gather(*map(world.send, pushes[75:]))} == {Accepted}
        assert world.shown() == {push.push_id: 1 for push in pushes}

    in_world(scenario)


@pytest.mark.parametrize("in_world", [*ProviderName, *OVER_HTTP1], indirect=True)
def test_a_thousand_pushes_at_once_arrive_exactly_once_each(in_world: InWorld) -> None:
    """Concurrency loses nothing and doubles nothing."""

    async def scenario(world: World) -> None:
        pushes = [world.push() for _ in range(1_000)]
        outcomes = await asyncio.gather(*map(world.send, pushes))
        assert {type(outcome) for outcome in outcomes} == {Accepted}
        assert world.shown() == {push.push_id: 1 for push in pushes}

    in_world(scenario)


def test_under_seeded_faults_no_outcome_contradicts_the_record(in_world: InWorld) -> None:
    """A storm of faults: Accepted is on record once, NotSent never, Unknown at most once."""

    async def scenario(world: World) -> None:
        for seed, fault in enumerate(
            (Fault.REFUSE_STREAM, Fault.RESET_STREAM, Fault.UNAVAILABLE_BUT_DELIVERED, Fault.THROTTLE, Fault.SLOW)
        ):
            world.faults.set(fault, share=0.1, seed=seed, seconds=0.01)
        world.faults.set(Fault.RESET_AFTER_ACCEPT, share=0.01, seed=7)
        world.faults.set(Fault.GOAWAY_EVERY, every=40)
        pushes = [world.push() for _ in range(400)]
        outcomes = await asyncio.gather(*map(world.send, pushes))
        shown = world.shown()
        for push, outcome in zip(pushes, outcomes, strict=True):
            match outcome:
                case Accepted():
                    assert shown[push.push_id] == 1
                case NotSent():
                    assert shown[push.push_id] == 0, outcome
                case Unknown():
                    assert shown[push.push_id] <= 1
        assert {type(outcome) for outcome in outcomes} == {Accepted, NotSent, Unknown}

    in_world(scenario)
