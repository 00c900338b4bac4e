"""Each fault looks on the wire as it should, and the push log tells what the client cannot know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from h2.errors import ErrorCodes

from connectors.simulators import Fault, Faults
from tests.unit.simulator_bench import Bench, Call
from tests.unit.simulator_probe import Answer, Probe, connect

PROVIDERS = ("apns", "fcm", "webpush")  # those whose credentials run out


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Simulators of its own for each test: faults stay set."""
    with Bench(tmp_path) as started:
        yield started


def plan(bench: Bench, provider: str) -> Faults:
    """The plan of faults of one provider."""
    faults: Faults = getattr(bench.sims, provider).faults
    return faults


def call(bench: Bench, provider: str, notification_id: str = "n-1") -> Call:
    """A right request."""
    if provider == "apns":
        return bench.apns_call(notification_id=notification_id)
    if provider == "fcm":
        return bench.fcm_call(notification_id=notification_id)
    if provider == "webhook":
        return bench.webhook_call(notification_id=notification_id)
    return bench.webpush_call(notification_id=notification_id)


def recorded(bench: Bench) -> list[str]:
    """The notifications on record."""
    return [shown.notification_id for shown in bench.sims.log.entries]


def same_token(*calls: Call) -> list[Call]:
    """Let all use the first one's authorization, as one sender does."""
    authorization = dict(calls[0].headers)["authorization"]
    return [each.with_header("authorization", authorization) for each in calls]


ANSWERS = {
    ("apns", Fault.THROTTLE): (429, '{"reason": "TooManyRequests"}'),
    ("apns", Fault.UNAVAILABLE): (503, '{"reason": "ServiceUnavailable"}'),
    ("apns", Fault.UNAVAILABLE_BUT_DELIVERED): (503, '{"reason": "ServiceUnavailable"}'),
    ("apns", Fault.INTERNAL): (500, '{"reason": "InternalServerError"}'),
    ("apns", Fault.EXPIRE_TOKENS): (403, '{"reason": "ExpiredProviderToken"}'),
    ("fcm", Fault.THROTTLE): (429, '"errorCode": "QUOTA_EXCEEDED"'),
    ("fcm", Fault.UNAVAILABLE): (503, '"errorCode": "UNAVAILABLE"'),
    ("fcm", Fault.UNAVAILABLE_BUT_DELIVERED): (503, '"errorCode": "UNAVAILABLE"'),
    ("fcm", Fault.INTERNAL): (500, '"errorCode": "INTERNAL"'),
    ("fcm", Fault.EXPIRE_TOKENS): (401, '"status": "UNAUTHENTICATED"'),
    ("webpush", Fault.THROTTLE): (429, '"code": 429'),
    ("webpush", Fault.UNAVAILABLE): (503, '"code": 503'),
    ("webpush", Fault.UNAVAILABLE_BUT_DELIVERED): (503, '"code": 503'),
    ("webpush", Fault.INTERNAL): (500, '"code": 500'),
    ("webpush", Fault.EXPIRE_TOKENS): (403, '"errno": 109'),
    ("webhook", Fault.THROTTLE): (429, "Too many requests"),
    ("webhook", Fault.UNAVAILABLE): (503, "Service unavailable"),
    ("webhook", Fault.UNAVAILABLE_BUT_DELIVERED): (503, "Service unavailable"),
    ("webhook", Fault.INTERNAL): (500, "Internal server error"),
    ("webhook", Fault.EXPIRE_TOKENS): (401, "No signature matches"),
}


@pytest.mark.parametrize(("provider", "fault"), ANSWERS)
def test_a_fault_that_is_an_answer(bench: Bench, provider: str, fault: Fault) -> None:
    """The answer is the provider's own; only UNAVAILABLE_BUT_DELIVERED shows the push all the same."""
    plan(bench, provider).set(fault, count=1, retry_after_seconds=6.5)
    status, part = ANSWERS[provider, fault]
    response = bench.send_one(call(bench, provider))
    assert response.status_code == status
    assert part in response.text
    with_wait = fault in (Fault.THROTTLE, Fault.UNAVAILABLE, Fault.UNAVAILABLE_BUT_DELIVERED)
    assert response.headers.get("retry-after") == ("7" if with_wait else None)
    assert recorded(bench) == (["n-1"] if fault is Fault.UNAVAILABLE_BUT_DELIVERED else [])
    assert plan(bench, provider).struck == {fault: 1}


def test_a_wrong_request_stays_wrong_under_a_fault(bench: Bench) -> None:
    """UNAVAILABLE_BUT_DELIVERED does not deliver what would have been refused, and says why."""
    plan(bench, "apns").set(Fault.UNAVAILABLE_BUT_DELIVERED)
    response = bench.send_one(call(bench, "apns").with_header("apns-topic", None))
    assert (response.status_code, recorded(bench)) == (400, [])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_expired_token_stays_expired_and_may_be_renewed(bench: Bench, provider: str) -> None:
    """The credential that EXPIRE_TOKENS hit is refused from then on; a new one is taken on the same connection."""
    plan(bench, provider).set(Fault.EXPIRE_TOKENS, count=1)
    first = call(bench, provider)
    refused = bench.send_one(first).status_code
    bench.access_token = ""
    bench.clock.now_ms += 1000  # a token of the same second could be the same
    renewed = call(bench, provider)
    statuses = [response.status_code for response in bench.send(first, renewed)]
    assert statuses[0] == refused
    assert statuses[1] < 300


def test_an_apns_connection_may_renew_at_once_after_expire_tokens(bench: Bench) -> None:
    """A renewal that the fault forces is not answered TooManyProviderTokenUpdates."""
    first, second, third = (call(bench, "apns") for _ in range(3))

    async def talk() -> list[int | None]:
        probe = await connect(first.url, bench.tls)
        answers: list[Answer] = []
        for each in (first, first, second, third):
            if len(answers) == 1:
                plan(bench, "apns").set(Fault.EXPIRE_TOKENS, count=1)
            answers += probe.send(each)
            await probe.until_ended(answers[-1])
        probe.transport.close()
        return [answer.status for answer in answers]

    assert bench.run(talk()) == [200, 403, 200, 429]


@pytest.mark.parametrize(
    ("provider", "http2"),
    [("apns", True), ("fcm", True), ("fcm", False), ("webpush", True), ("webpush", False)],
)
@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (Fault.RESET_BEFORE, []),
        (Fault.RESET_AFTER_ACCEPT, ["n-1"]),
        (Fault.REFUSE_CONNECTION, []),
        (Fault.REFUSE_STREAM, []),
        (Fault.RESET_STREAM, ["n-1"]),
    ],
)
def test_a_fault_without_an_answer(bench: Bench, provider: str, http2: bool, fault: Fault, shown: list[str]) -> None:
    """The client gets an error; the log tells whether the push is shown."""
    request = call(bench, provider)
    plan(bench, provider).set(fault)
    with pytest.raises(httpx.TransportError):
        bench.send_one(request, http2=http2)
    assert recorded(bench) == shown
    plan(bench, provider).clear()
    assert bench.send_one(request, http2=http2).status_code < 300


def converse(bench: Bench, provider: str, *batches: list[Call]) -> tuple[Probe, list[Answer]]:
    """Send batch after batch on one connection, each when the last answer of the one before is there."""

    async def talk() -> tuple[Probe, list[Answer]]:
        probe = await connect(batches[0][0].url, bench.tls)
        answers: list[Answer] = []
        for batch in batches:
            answers += probe.send(*batch)
            await probe.until_ended(answers[-1])
        probe.transport.close()
        return probe, answers

    return bench.run(talk())


@pytest.mark.parametrize(("fault", "shown"), [(Fault.HANG, ["n-1", "n-2"]), (Fault.HANG_BEFORE, ["n-2"])])
def test_a_request_hangs(bench: Bench, fault: Fault, shown: list[str]) -> None:
    """A request that hangs is never answered, while the next one on the same connection is."""
    plan(bench, "webpush").set(fault, count=1)
    first, second = same_token(call(bench, "webpush", "n-1"), call(bench, "webpush", "n-2"))
    _, answers = converse(bench, "webpush", [first, second])
    assert (answers[0].status, answers[0].ended) == (None, False)
    assert answers[1].status == 201
    assert recorded(bench) == shown


@pytest.mark.parametrize(
    ("fault", "code", "shown"),
    [
        (Fault.REFUSE_STREAM, ErrorCodes.REFUSED_STREAM, ["n-2"]),
        (Fault.RESET_STREAM, ErrorCodes.INTERNAL_ERROR, ["n-1", "n-2"]),
    ],
)
def test_a_stream_is_reset(bench: Bench, fault: Fault, code: ErrorCodes, shown: list[str]) -> None:
    """RST_STREAM carries the right code, and the connection goes on."""
    plan(bench, "apns").set(fault, count=1)
    first, second = same_token(call(bench, "apns", "n-1"), call(bench, "apns", "n-2"))
    _, answers = converse(bench, "apns", [first], [second])
    assert (answers[0].status, answers[0].reset_code) == (None, code)
    assert answers[1].status == 200
    assert recorded(bench) == shown


def test_a_slow_answer_is_overtaken(bench: Bench) -> None:
    """A slow request is on record at once; its answer comes later than that of the next."""
    plan(bench, "webpush").set(Fault.SLOW, count=1, seconds=0.2)
    first, second = same_token(call(bench, "webpush", "n-1"), call(bench, "webpush", "n-2"))

    async def talk() -> tuple[list[int], list[Answer]]:
        probe = await connect(first.url, bench.tls)
        answers = probe.send(first, second)
        assert len(await bench.sims.log.wait_for(2)) == 2
        await probe.until(lambda: answers[0].ended)
        probe.transport.close()
        return probe.ended, answers

    ended, answers = bench.run(talk())
    assert ended == [3, 1]
    assert [answer.status for answer in answers] == [201, 201]
    assert recorded(bench) == ["n-1", "n-2"]


def test_goaway_names_the_last_stream_that_counts(bench: Bench) -> None:
    """All streams up to the GOAWAY's last id are answered; the others are neither answered nor on record.

    stream   1    3    5    7
             201  201  ✗    ✗      GOAWAY(last stream id 3), NO_ERROR
    """
    plan(bench, "webpush").set(Fault.GOAWAY_EVERY, every=3)
    calls = same_token(*(call(bench, "webpush", f"n-{number}") for number in range(1, 5)))

    async def talk() -> tuple[Probe, list[Answer]]:
        probe = await connect(calls[0].url, bench.tls)
        answers = probe.send(*calls)
        await probe.until(lambda: probe.goaway is not None)
        probe.transport.close()
        return probe, answers

    probe, answers = bench.run(talk())
    assert probe.goaway is not None
    assert (probe.goaway.last_stream_id, probe.goaway.error_code) == (3, ErrorCodes.NO_ERROR)
    assert [answer.status for answer in answers] == [201, 201, None, None]
    assert recorded(bench) == ["n-1", "n-2"]


def test_goaway_leaves_owed_answers_to_come(bench: Bench) -> None:
    """A request that was slow when the GOAWAY came is still answered."""
    plan(bench, "webpush").set(Fault.GOAWAY_EVERY, every=2)
    plan(bench, "webpush").set(Fault.SLOW, count=1, seconds=0.05)
    first, second = same_token(call(bench, "webpush", "n-1"), call(bench, "webpush", "n-2"))

    async def talk() -> list[Answer]:
        probe = await connect(first.url, bench.tls)
        answers = probe.send(first, second)
        await probe.until(lambda: probe.goaway is not None and answers[0].ended)
        probe.transport.close()
        return answers

    assert [answer.status for answer in bench.run(talk())] == [201, None]


def test_a_goaway_connection_is_closed_when_the_client_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not leave after a GOAWAY is cut off."""
    monkeypatch.setattr("connectors.simulators.http2_server.GOAWAY_LINGER_SECONDS", 0.01)
    plan(bench, "apns").set(Fault.GOAWAY_EVERY, every=1)

    async def talk() -> None:
        probe = await connect(bench.sims.apns.url, bench.tls)
        probe.send(call(bench, "apns"))
        await probe.until(lambda: probe.closed)

    bench.run(talk())


def test_share_is_drawn_from_the_seed() -> None:
    """The same seed hits the same requests, about as many as the share says; another seed hits others."""

    def draws(seed: int) -> list[bool]:
        faults = Faults()
        faults.set(Fault.INTERNAL, share=0.3, seed=seed)
        return [faults.draw() is not None for _ in range(2000)]

    assert draws(7) == draws(7)
    assert draws(7) != draws(8)
    assert 500 < sum(draws(7)) < 700


def test_count_ends_a_fault() -> None:
    """A fault hits as often as it may, and no more."""
    faults = Faults()
    faults.set(Fault.INTERNAL, count=2)
    assert [faults.draw() is not None for _ in range(4)] == [True, True, False, False]
    assert faults.struck == {Fault.INTERNAL: 2}


def test_faults_do_not_disturb_each_other() -> None:
    """The requests that one fault hits do not depend on which others are set, unless both hit the same one."""
    alone, together = Faults(), Faults()
    alone.set(Fault.RESET_BEFORE, share=0.2, seed=3)
    together.set(Fault.RESET_BEFORE, share=0.2, seed=3)
    together.set(Fault.INTERNAL, share=0.5, seed=4)
    for _ in range(500):
        one, other = alone.draw(), together.draw()
        assert (one is not None) == (other is not None and other.fault is Fault.RESET_BEFORE)


@pytest.mark.parametrize("numbers", [{"share": 1.1}, {"share": -0.1}, {"seconds": -1}, {"every": 0}, {"count": -1}])
def test_impossible_numbers_are_refused(numbers: dict[str, float]) -> None:
    """A number out of its range is a ValueError, not a silent plan."""
    with pytest.raises(ValueError, match="must"):
        Faults().set(Fault.SLOW, **numbers)  # type: ignore[arg-type]  # (the table mixes int and float)


def test_the_token_endpoint_has_its_own_faults(bench: Bench) -> None:
    """A fault of the token endpoint leaves pushes alone, and the other way round."""
    push = bench.fcm_call()
    bench.sims.fcm.token_faults.set(Fault.UNAVAILABLE)
    assert bench.send_one(bench.token_call()).status_code == 503
    assert bench.send_one(push).status_code == 200
    bench.sims.fcm.token_faults.clear()
    bench.sims.fcm.faults.set(Fault.INTERNAL)
    assert bench.send_one(bench.token_call()).status_code == 200
    assert bench.send_one(push).status_code == 500


def test_closing_ends_what_hangs(tmp_path: Path) -> None:
    """The simulators end at once, even with connections open and requests hanging."""
    with Bench(tmp_path) as bench:
        plan(bench, "apns").set(Fault.HANG)

        async def talk() -> None:
            probe = await connect(bench.sims.apns.url, bench.tls)
            probe.send(call(bench, "apns"))
            await bench.sims.log.wait_for(1)

        bench.run(talk())
        assert bench.sims.apns.listener.connections == 1
    assert bench.sims.apns.listener.connections == 0
