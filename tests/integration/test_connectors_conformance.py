"""One suite for all connectors, against the simulators: what each fault becomes, and that nothing is sent twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from connectors.fcm import FcmConnector
from connectors.http import Asked
from connectors.http.bearer import Begun
from connectors.outcome import Accepted, Device, NotSent, ProviderName, Unknown
from connectors.simulators import Fault
from tests.in_memory import alive, nothing_collected
from tests.integration.connector_world import (
    AT_ONCE,
    HANG_SECONDS,
    HANG_SECONDS_COLD,
    OVER_HTTP1,
    InWorld,
    Scenario,
    World,
)


def test_a_push_arrives_with_all_that_identifies_it(in_world: InWorld) -> None:
    """Address, ids, type, collapse id and expiry are on record as the push says them."""

    async def scenario(world: World) -> None:
        push = world.push()
        outcome = await world.send(push)
        assert isinstance(outcome, Accepted)
        assert outcome.reference or world.name is ProviderName.WEBHOOK  # receivers give none
        (entry,) = world.simulators.log.entries
        assert (entry.provider, entry.address) == (world.name, push.device.address)
        assert (entry.notification_id, entry.type) == (push.notification_id, push.type)
        assert (entry.push_id, entry.collapse_id) == (push.push_id, push.collapse_id)
        assert entry.expires_at_ms is not None
        assert abs(entry.expires_at_ms - entry.at_ms - 3_600_000) < 60_000

    in_world(scenario)


def test_a_push_with_nothing_to_show_is_taken(in_world: InWorld) -> None:
    """Without title and body it is a request that the provider accepts, with the data that the app needs."""

    async def scenario(world: World) -> None:
        push = world.push(title="", body="")
        assert isinstance(await world.send(push), Accepted)
        (entry,) = world.simulators.log.entries
        assert (entry.notification_id, entry.type) == (push.notification_id, push.type)

    in_world(scenario)


@pytest.mark.parametrize("link", ["https://shop.example.com/orders/7", "shop://orders/7"])
def test_a_push_with_an_image_and_a_link_is_taken(in_world: InWorld, link: str) -> None:
    """Each provider accepts them as they stand in our request, a link of the web as well as one of an app."""

    async def scenario(world: World) -> None:
        push = world.push(image="https://img.example.com/a.png", link=link)
        assert isinstance(await world.send(push), Accepted)
        assert world.shown() == {push.push_id: 1}
        for message in world.simulators.webpush.pending.values():  # what the browser has decrypted
            assert (message["image"], message["data"]["link"]) == (push.image, link)
        silent = world.push(title="", body="", image="https://img.example.com/a.png", link=link)
        assert isinstance(await world.send(silent), Accepted)

    in_world(scenario)


@pytest.mark.parametrize("in_world", [ProviderName.FCM], indirect=True)
def test_a_dry_run_of_fcm_checks_and_delivers_nothing(in_world: InWorld) -> None:
    """With `validate_only` a right message is accepted, a wrong one refused, and none is on record."""

    async def scenario(world: World) -> None:
        assert isinstance(world.connector, FcmConnector)
        world.connector._config = replace(world.connector._config, validate_only=True)
        assert isinstance(await world.send(), Accepted)
        refused = await world.send(world.push(data={"google.reserved": "v"}))
        assert isinstance(refused, NotSent)
        assert refused.reason == "INVALID_ARGUMENT"
        installation = Device("d", ProviderName.FCM, world.simulators.fcm.new_installation())
        assert isinstance(await world.send(world.push(device=installation)), Accepted)
        assert world.simulators.log.entries == []

    in_world(scenario)


# Fault → what the outcome must be, and how often the push is on record.
FAULTS = [
    (Fault.SLOW, Accepted, 1),
    (Fault.THROTTLE, NotSent, 0),
    (Fault.UNAVAILABLE, Unknown, 0),
    (Fault.UNAVAILABLE_BUT_DELIVERED, Unknown, 1),
    (Fault.INTERNAL, Unknown, 0),
    (Fault.RESET_BEFORE, Unknown, 0),
    (Fault.RESET_AFTER_ACCEPT, Unknown, 1),
    (Fault.HANG, Unknown, 1),
    (Fault.HANG_BEFORE, Unknown, 0),
    (Fault.REFUSE_STREAM, NotSent, 0),
    (Fault.RESET_STREAM, Unknown, 1),
    (Fault.EXPIRE_TOKENS, Accepted, 1),
]


# There are no streams to refuse: the connection is cut when the request is read.
HTTP1_FAULTS = [(fault, Unknown if fault is Fault.REFUSE_STREAM else kind, shown) for fault, kind, shown in FAULTS]
HANGS = (Fault.HANG, Fault.HANG_BEFORE)


def meets(fault: Fault, kind: type, shown: int, warm: bool) -> Scenario:
    """On a new or on a reused connection: never NotSent for what arrived, never a second request for what may have."""

    async def scenario(world: World) -> None:
        expected, on_record = kind, shown
        if world.name is ProviderName.WEBHOOK and fault is Fault.EXPIRE_TOKENS:
            expected, on_record = NotSent, 0  # a secret does not run out, and there is no other one to try
        if warm:
            assert isinstance(await world.send(), Accepted)
        requests = world.simulators.log.counts[world.name].requests
        world.faults.set(fault, count=1, seconds=0.05)
        push = world.push()
        if fault in HANGS:
            world.set_timeout(HANG_SECONDS if warm else HANG_SECONDS_COLD)
        outcome = await world.send(push)
        world.set_timeout(20.0)
        assert type(outcome) is expected, outcome
        assert world.shown()[push.push_id] == on_record
        assert world.faults.struck[fault] == 1
        if kind is Unknown:
            assert world.simulators.log.counts[world.name].requests - requests <= 1
        if fault is Fault.THROTTLE:
            assert isinstance(outcome, NotSent)
            assert (outcome.retry, outcome.status, outcome.retry_after_seconds) == (True, 429, 1.0)
        if fault is Fault.REFUSE_STREAM and kind is NotSent:
            assert outcome == NotSent("refused_stream", retry=True)
        assert isinstance(await world.send(), Accepted), "the next push goes through"

    return scenario


@pytest.mark.parametrize(("fault", "kind", "shown"), FAULTS)
@pytest.mark.parametrize("warm", [False, True], ids=["first", "reused"])
def test_each_fault_becomes_the_outcome_that_is_true(
    in_world: InWorld, fault: Fault, kind: type, shown: int, warm: bool
) -> None:
    """What the connector says agrees with what is on record, for each way in which a provider can fail."""
    in_world(meets(fault, kind, shown, warm))


@pytest.mark.parametrize("in_world", OVER_HTTP1, indirect=True)
@pytest.mark.parametrize(("fault", "kind", "shown"), HTTP1_FAULTS)
def test_each_fault_becomes_the_outcome_that_is_true_over_http1(
    in_world: InWorld, fault: Fault, kind: type, shown: int
) -> None:
    """The same where the server speaks nothing newer than HTTP/1.1."""
    in_world(meets(fault, kind, shown, warm=True))


def test_a_connection_that_is_cut_before_anything_is_written_sent_nothing(in_world: InWorld) -> None:
    """Where no connection comes about the outcome is certain, and the next push goes through."""

    async def scenario(world: World) -> None:
        world.faults.set(Fault.REFUSE_CONNECTION, count=1)
        outcome = await world.send()
        assert isinstance(outcome, NotSent)
        assert outcome.retry
        world.faults.clear()
        assert isinstance(await world.send_until_final(world.push()), Accepted)

    in_world(scenario)


def test_a_server_that_is_not_there_is_certain(in_world: InWorld) -> None:
    """Nobody listens: not sent, worth another attempt."""

    async def scenario(world: World) -> None:
        push = world.push()
        await getattr(world.simulators, world.name).listener.close()
        outcome = await world.send(push)
        assert isinstance(outcome, NotSent)
        assert outcome.retry
        assert outcome.status is None

    in_world(scenario)


def test_a_push_that_may_not_start_never_arrives(in_world: InWorld) -> None:
    """`may_start` is asked once the connection stands; on False nothing is written."""

    async def scenario(world: World) -> None:
        asked = 0

        def may_start() -> bool:
            nonlocal asked
            asked += 1
            return False

        for _ in range(2):
            outcome = await world.send(world.push(), may_start)
            assert outcome == NotSent("deadline_passed", retry=False)
        assert asked == 2
        assert isinstance(await world.send(), Accepted)
        assert len(world.simulators.log.entries) == 1

    in_world(scenario)


def test_a_connection_lost_between_pushes_is_replaced(in_world: InWorld) -> None:
    """The server cuts an idle connection; the next push opens another one."""

    async def scenario(world: World) -> None:
        listener = getattr(world.simulators, world.name).listener
        assert isinstance(await world.send(), Accepted)
        for transport in list(listener._connections):
            transport.abort()
        while listener.connections:  # noqa: ASYNC110 (the listener signals nobody; the run has a limit)
            await asyncio.sleep(0.001)
        for _ in range(10):  # turns of the loop in which the reset, which is in our socket by now, is read
            await asyncio.sleep(0)
        assert isinstance(await world.send(), Accepted)

    in_world(scenario)


def test_an_address_that_is_gone_is_told(in_world: InWorld) -> None:
    """After the app is removed the outcome says that the address is no longer valid."""

    async def scenario(world: World) -> None:
        push = world.push()
        getattr(world.simulators, world.name).unregister(push.device.address)
        outcome = await world.send(push)
        assert isinstance(outcome, NotSent)
        assert not outcome.retry
        assert outcome.gone_at_ms is not None
        assert abs(outcome.gone_at_ms - world.clock.milliseconds()) < 60_000

    in_world(scenario)


def test_what_is_too_large_never_leaves(in_world: InWorld) -> None:
    """The limit is checked before the provider is asked."""

    async def scenario(world: World) -> None:
        for large in ({"body": "x" * 25_000}, {"image": "https://x/" + "x" * 25_000}, {"link": "x://" + "x" * 25_000}):
            assert await world.send(world.push(**large)) == NotSent("payload_too_large", retry=False)
        assert world.simulators.log.counts[world.name].requests == 0

    in_world(scenario)


def test_a_cancelled_send_leaves_the_connection_usable(in_world: InWorld) -> None:
    """Cancelling resets the stream; the pushes beside it and after it go through."""

    async def scenario(world: World) -> None:
        assert isinstance(await world.send(), Accepted)
        world.faults.set(Fault.HANG, count=1)
        cancelled = asyncio.ensure_future(world.send())
        await world.simulators.log.wait_for(2)
        beside = asyncio.ensure_future(world.send())
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert isinstance(await beside, Accepted)
        assert isinstance(await world.send(), Accepted)

    in_world(scenario)


def test_closing_ends_every_send(in_world: InWorld) -> None:
    """What is in flight gets its answer, what comes later is not sent."""

    async def scenario(world: World) -> None:
        assert isinstance(await world.send(), Accepted)
        world.faults.set(Fault.SLOW, count=1, seconds=0.05)
        slow = asyncio.ensure_future(world.send())
        await world.simulators.log.wait_for(2)
        await world.connector.close()
        assert isinstance(await slow, Accepted)
        assert isinstance(await world.send(), NotSent)

    in_world(scenario)


@pytest.mark.parametrize("in_world", AT_ONCE, indirect=True)
def test_what_was_begun_is_gone_with_its_end(in_world: InWorld) -> None:
    """By its reference count, however it ends: what the garbage collector has to find stops a worker for it."""

    async def scenario(world: World) -> None:
        assert isinstance(await world.send(), Accepted)  # there is a token now
        world.faults.set(Fault.THROTTLE, count=5)
        world.faults.set(Fault.EXPIRE_TOKENS, count=1)
        outcomes = await asyncio.gather(*(world.send(world.push()) for _ in range(50)))
        assert {type(outcome) for outcome in outcomes} == {Accepted, NotSent}

    with nothing_collected():
        earlier = alive(Asked, Begun)
        in_world(scenario)
        assert alive(Asked, Begun) == earlier
