"""One suite for all three connectors, against the simulators: what each fault becomes, and that nothing is sent twice.

The simulator's log is the record: an outcome is judged by what the log says arrived.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from connectors.apns import ApnsConfig, ApnsConnector
from connectors.fcm import FcmConfig, FcmConnector
from connectors.outcome import Accepted, Device, NotSent, Outcome, ProviderName, Push, Unknown
from connectors.simulators import Fault, Faults, ProviderSimulators
from connectors.webpush import WebPushConfig, WebPushConnector

# How long a connector waits where no answer comes: on a standing connection, and with opening one.
HANG_SECONDS = 0.3
HANG_SECONDS_COLD = 3.0
LIMIT_SECONDS = 60.0


class Clock:
    """The time of connector and simulator; `skip` lets tokens run out."""

    def __init__(self) -> None:
        self.skipped_seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self.skipped_seconds

    def skip(self, seconds: float) -> None:
        self.skipped_seconds += seconds

    def milliseconds(self) -> int:
        return int(self() * 1000)


@dataclass
class World:
    """One connector and its simulator."""

    name: ProviderName
    simulators: ProviderSimulators
    clock: Clock
    connector: ApnsConnector | FcmConnector | WebPushConnector

    def set_timeout(self, seconds: float) -> None:
        """From now on a send takes at most this long; what went before was not to fail on a busy machine."""
        config = self.connector._config
        self.connector._config = replace(config, request_timeout_seconds=seconds)

    @property
    def faults(self) -> Faults:
        faults: Faults = getattr(self.simulators, self.name).faults
        return faults

    def push(self, **changes: object) -> Push:
        push = Push(
            push_id=str(uuid.uuid4()),
            notification_id=f"n-{uuid.uuid4()}",
            type="like",
            device=new_device(self.simulators, self.name),
            title="Title",
            body="Bödy ☃",
            data={"k": "v"},
            ttl_seconds=3_600,
            collapse_id=uuid.uuid4().hex,
        )
        return replace(push, **changes)  # type: ignore[arg-type]  # fields by name

    async def send(self, push: Push | None = None) -> Outcome:
        return await self.connector.send(push or self.push(), lambda: True)

    async def send_until_final(self, push: Push) -> Outcome:
        """As the deliver stage does: what is certainly not sent and may be retried is sent again."""
        for _ in range(100):
            outcome = await self.connector.send(push, lambda: True)
            if not (isinstance(outcome, NotSent) and outcome.retry):
                return outcome
            self.clock.skip(outcome.retry_after_seconds or 0.0)
        raise AssertionError("no end after 100 attempts")

    def shown(self) -> Counter[str]:
        """How often each push is on record."""
        return Counter(entry.push_id for entry in self.simulators.log.entries)


def new_device(simulators: ProviderSimulators, name: ProviderName) -> Device:
    match name:
        case ProviderName.APNS:
            return Device("d", name, simulators.apns.new_device())
        case ProviderName.FCM:
            return Device("d", name, simulators.fcm.new_device())
        case ProviderName.WEBPUSH:
            subscription = simulators.webpush.new_subscription()
            return Device("d", name, subscription.endpoint, subscription.p256dh, subscription.auth)


def new_connector(
    simulators: ProviderSimulators, name: ProviderName, clock: Clock
) -> ApnsConnector | FcmConnector | WebPushConnector:
    ca_file = str(simulators.ca_file)
    match name:
        case ProviderName.APNS:
            apns = simulators.apns
            return ApnsConnector(
                ApnsConfig(
                    apns.url,
                    str(apns.key_file),
                    apns.key_id,
                    apns.team_id,
                    apns.topic,
                    ca_file=ca_file,
                    request_timeout_seconds=20.0,
                ),
                clock,
            )
        case ProviderName.FCM:
            fcm = simulators.fcm
            return FcmConnector(
                FcmConfig(fcm.url, str(fcm.service_account_file), ca_file=ca_file, request_timeout_seconds=20.0),
                clock,
            )
        case ProviderName.WEBPUSH:
            webpush = simulators.webpush
            return WebPushConnector(
                WebPushConfig(
                    str(webpush.vapid_key_file),
                    webpush.vapid_subject,
                    ca_file=ca_file,
                    request_timeout_seconds=20.0,
                    allow_private_endpoints=True,
                ),
                clock,
            )


Scenario = Callable[[World], Awaitable[None]]
Run = Callable[..., None]


@pytest.fixture(params=list(ProviderName))
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Run a scenario in a fresh world of one provider."""
    name: ProviderName = request.param

    def run_scenario(scenario: Scenario) -> None:
        async def main() -> None:
            clock = Clock()
            async with ProviderSimulators(tmp_path, clock.milliseconds) as simulators:
                connector = new_connector(simulators, name, clock)
                await connector.start()
                try:
                    await scenario(World(name, simulators, clock, connector))
                finally:
                    await connector.close()

        asyncio.run(asyncio.wait_for(main(), LIMIT_SECONDS))

    return run_scenario


def test_a_push_arrives_with_all_that_identifies_it(run: Run) -> None:
    """Address, ids, type, collapse id and expiry are on record as the push says them."""

    async def scenario(world: World) -> None:
        push = world.push()
        outcome = await world.send(push)
        assert isinstance(outcome, Accepted)
        assert outcome.reference
        (entry,) = world.simulators.log.entries
        assert (entry.provider, entry.address) == (world.name, push.device.address)
        assert (entry.notification_id, entry.type) == (push.notification_id, push.type)
        assert (entry.push_id, entry.collapse_id) == (push.push_id, push.collapse_id)
        assert entry.expires_at_ms is not None
        assert abs(entry.expires_at_ms - entry.at_ms - 3_600_000) < 60_000

    run(scenario)


def test_a_push_with_nothing_to_show_is_taken(run: Run) -> None:
    """Without title and body it is a request that the provider accepts, with the data that the app needs."""

    async def scenario(world: World) -> None:
        push = world.push(title="", body="")
        assert isinstance(await world.send(push), Accepted)
        (entry,) = world.simulators.log.entries
        assert (entry.notification_id, entry.type) == (push.notification_id, push.type)

    run(scenario)


@pytest.mark.parametrize("run", [ProviderName.FCM], indirect=True)
def test_a_dry_run_of_fcm_checks_and_delivers_nothing(run: Run) -> None:
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

    run(scenario)


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


@pytest.mark.parametrize(("fault", "kind", "shown"), FAULTS)
@pytest.mark.parametrize("warm", [False, True], ids=["first", "reused"])
def test_each_fault_becomes_the_outcome_that_is_true(
    run: Run, fault: Fault, kind: type, shown: int, warm: bool
) -> None:
    """On a new and on a reused connection: never NotSent for what arrived, never a second request for what may have."""

    async def scenario(world: World) -> None:
        if warm:
            assert isinstance(await world.send(), Accepted)
        requests = world.simulators.log.counts[world.name].requests
        world.faults.set(fault, count=1, seconds=0.05)
        push = world.push()
        if fault in (Fault.HANG, Fault.HANG_BEFORE):
            world.set_timeout(HANG_SECONDS if warm else HANG_SECONDS_COLD)
        outcome = await world.send(push)
        world.set_timeout(20.0)
        assert type(outcome) is kind, outcome
        assert world.shown()[push.push_id] == shown
        assert world.faults.struck[fault] == 1
        if kind is Unknown:
            assert world.simulators.log.counts[world.name].requests - requests <= 1
        if fault is Fault.THROTTLE:
            assert isinstance(outcome, NotSent)
            assert (outcome.retry, outcome.status, outcome.retry_after_seconds) == (True, 429, 1.0)
        if fault is Fault.REFUSE_STREAM:
            assert outcome == NotSent("refused_stream", retry=True)
        assert isinstance(await world.send(), Accepted), "the next push goes through"

    run(scenario)


def test_a_connection_that_is_cut_before_anything_is_written_sent_nothing(run: Run) -> None:
    """Where no connection comes about the outcome is certain, and the next push goes through."""

    async def scenario(world: World) -> None:
        world.faults.set(Fault.REFUSE_CONNECTION, count=1)
        outcome = await world.send()
        assert isinstance(outcome, NotSent)
        assert outcome.retry
        world.faults.clear()
        assert isinstance(await world.send_until_final(world.push()), Accepted)

    run(scenario)


def test_a_server_that_is_not_there_is_certain(run: Run) -> None:
    """Nobody listens: not sent, worth another attempt."""

    async def scenario(world: World) -> None:
        push = world.push()
        await getattr(world.simulators, world.name).listener.close()
        outcome = await world.send(push)
        assert isinstance(outcome, NotSent)
        assert outcome.retry
        assert outcome.status is None

    run(scenario)


def test_a_push_that_may_not_start_never_arrives(run: Run) -> None:
    """`may_start` is asked once the connection stands; on False nothing is written."""

    async def scenario(world: World) -> None:
        asked = 0

        def may_start() -> bool:
            nonlocal asked
            asked += 1
            return False

        for _ in range(2):
            outcome = await world.connector.send(world.push(), may_start)
            assert outcome == NotSent("deadline_passed", retry=False)
        assert asked == 2
        assert isinstance(await world.send(), Accepted)
        assert len(world.simulators.log.entries) == 1

    run(scenario)


def test_a_deadline_that_passes_in_the_queue_is_kept(run: Run) -> None:
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
        outcomes = await asyncio.gather(
            *(world.connector.send(push, lambda: time.monotonic() < deadline) for push in pushes)
        )
        shown = world.shown()
        for push, outcome in zip(pushes, outcomes, strict=True):
            if isinstance(outcome, Accepted):
                assert shown[push.push_id] == 1
            else:
                assert outcome == NotSent("deadline_passed", retry=False)
                assert shown[push.push_id] == 0
        assert any(isinstance(outcome, NotSent) for outcome in outcomes)

    run(scenario)


def test_a_push_that_never_gets_a_stream_is_certainly_not_sent(run: Run) -> None:
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

    run(scenario)


def test_a_connection_lost_between_pushes_is_replaced(run: Run) -> None:
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

    run(scenario)


@pytest.mark.parametrize("every", [1, 7, 50])
def test_goaway_loses_nothing_and_doubles_nothing(run: Run, every: int) -> None:
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

    run(scenario)


def test_credentials_that_run_out_in_the_middle_cost_nothing(run: Run) -> None:
    """Pushes go on over the end of a token's life, and over a token that the provider calls expired."""

    async def scenario(world: World) -> None:
        pushes = [world.push() for _ in range(100)]
        for batch in (pushes[:25], pushes[25:50], pushes[50:75]):
            assert {type(outcome) for outcome in await asyncio.gather(*map(world.send, batch))} == {Accepted}
            world.clock.skip(3_700)
        world.faults.set(Fault.EXPIRE_TOKENS, count=1)
        assert {type(outcome) for outcome in await asyncio.gather(*map(world.send, pushes[75:]))} == {Accepted}
        assert world.shown() == {push.push_id: 1 for push in pushes}

    run(scenario)


def test_a_thousand_pushes_at_once_arrive_exactly_once_each(run: Run) -> None:
    """Concurrency loses nothing and doubles nothing."""

    async def scenario(world: World) -> None:
        pushes = [world.push() for _ in range(1_000)]
        outcomes = await asyncio.gather(*map(world.send, pushes))
        assert {type(outcome) for outcome in outcomes} == {Accepted}
        assert world.shown() == {push.push_id: 1 for push in pushes}

    run(scenario)


def test_under_seeded_faults_no_outcome_contradicts_the_record(run: Run) -> None:
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

    run(scenario)


def test_an_address_that_is_gone_is_told(run: Run) -> None:
    """After the app is removed the outcome says that the address is no longer valid."""

    async def scenario(world: World) -> None:
        push = world.push()
        getattr(world.simulators, world.name).unregister(push.device.address)
        outcome = await world.send(push)
        assert isinstance(outcome, NotSent)
        assert not outcome.retry
        assert outcome.gone_at_ms is not None
        assert abs(outcome.gone_at_ms - world.clock.milliseconds()) < 60_000

    run(scenario)


def test_what_is_too_large_never_leaves(run: Run) -> None:
    """The limit is checked before the provider is asked."""

    async def scenario(world: World) -> None:
        assert await world.send(world.push(body="x" * 5_000)) == NotSent("payload_too_large", retry=False)
        assert world.simulators.log.counts[world.name].requests == 0

    run(scenario)


def test_a_cancelled_send_leaves_the_connection_usable(run: Run) -> None:
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

    run(scenario)


def test_closing_ends_every_send(run: Run) -> None:
    """What is in flight gets its answer, what comes later is not sent."""

    async def scenario(world: World) -> None:
        assert isinstance(await world.send(), Accepted)
        world.faults.set(Fault.SLOW, count=1, seconds=0.05)
        slow = asyncio.ensure_future(world.send())
        await world.simulators.log.wait_for(2)
        await world.connector.close()
        assert isinstance(await slow, Accepted)
        assert isinstance(await world.send(), NotSent)

    run(scenario)
