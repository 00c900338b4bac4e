"""The receiver of webhooks takes what Standard Webhooks allows, and refuses the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from connectors.outcome import ProviderName
from connectors.simulators.webhook import TOLERANCE_SECONDS
from tests.unit.simulator_bench import Bench, Call

Spoil = Callable[[Bench, Call], Call]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One set of simulators for the module; no test depends on what another left."""
    with Bench(tmp_path_factory.mktemp("webhook")) as started:
        yield started


@pytest.mark.parametrize("http2", [True, False])
def test_accepts_a_right_request_and_records_it(bench: Bench, http2: bool) -> None:
    """Over both versions of HTTP; the record has what the receiver would do with it."""
    endpoint = bench.sims.webhook.new_endpoint()
    call = bench.webhook_call(endpoint, "n-recorded")
    response = bench.send_one(call, http2=http2)
    assert (response.status_code, response.content) == (204, b"")
    shown = bench.sims.log.entries[-1]
    assert (shown.provider, shown.address) == (ProviderName.WEBHOOK, endpoint)
    assert (shown.notification_id, shown.type, shown.user) == ("n-recorded", "greeting", "u-1")
    assert (shown.push_id, shown.collapse_id) == (dict(call.headers)["webhook-id"], "slot-1")
    assert shown.expires_at_ms == bench.clock.now_ms + 3_600_000


@pytest.mark.parametrize("number", [0, 1])
def test_one_right_signature_of_several_is_enough(bench: Bench, number: int) -> None:
    """While a secret is being changed, messages carry a signature of each."""
    call = bench.webhook_call(secret=bench.sims.webhook.secrets[number])
    right = dict(call.headers)["webhook-signature"]
    signatures = f"v1a,AAAA v1,!!! v1,{'A' * 43}= {right}"
    assert bench.send_one(call.with_header("webhook-signature", signatures)).status_code == 204


def moved(seconds: int) -> Spoil:
    """The right request of another time."""

    def spoil(bench: Bench, _: Call) -> Call:
        bench.clock.now_ms += seconds * 1000
        call = bench.webhook_call()
        bench.clock.now_ms -= seconds * 1000
        return call

    return spoil


WRONG: dict[str, tuple[int, Spoil]] = {
    "no id": (400, lambda _, call: call.with_header("webhook-id", None)),
    "full stop in id": (400, lambda _, call: call.with_header("webhook-id", "a.b")),
    "no timestamp": (400, lambda _, call: call.with_header("webhook-timestamp", None)),
    "timestamp in words": (400, lambda _, call: call.with_header("webhook-timestamp", "2026-01-01T00:00:00Z")),
    "too old": (401, moved(-TOLERANCE_SECONDS - 1)),
    "too new": (401, moved(TOLERANCE_SECONDS + 2)),
    "no signature": (401, lambda _, call: call.with_header("webhook-signature", None)),
    "other version": (
        401,
        lambda _, call: call.with_header(
            "webhook-signature", dict(call.headers)["webhook-signature"].replace("v1", "v2")
        ),
    ),
    "other secret": (401, lambda bench, _: bench.webhook_call(secret=bytes(32))),
    "other body": (401, lambda _, call: call.with_json({"type": "greeting", "data": {}})),
    "other id": (401, lambda _, call: call.with_header("webhook-id", "another")),
    "other timestamp": (401, lambda bench, call: call.with_header("webhook-timestamp", str(bench.clock.seconds + 1))),
    "no content type": (415, lambda _, call: call.with_header("content-type", None)),
    "no JSON": (400, lambda bench, _: bench.webhook_call(body=b"{")),
    "no object": (400, lambda bench, _: bench.webhook_call(body=b"[]")),
    "no type": (400, lambda bench, _: bench.webhook_call(body=b'{"data":{}}')),
    "no data": (400, lambda bench, _: bench.webhook_call(body=b'{"type":"t","data":1}')),
    "too large": (413, lambda bench, _: bench.webhook_call(body=b" " * 20_001)),
    "elsewhere": (404, lambda bench, _: bench.webhook_call(bench.sims.webhook.url + "/hooks/unknown")),
    "GET": (405, lambda _, call: Call(call.url, call.headers, call.body, "GET")),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_refuses_a_wrong_request(bench: Bench, wrong: str) -> None:
    """Each rule by itself, with the rest of the request right; nothing of it is on record."""
    status, spoil = WRONG[wrong]
    before = len(bench.sims.log.entries)
    response = bench.send_one(spoil(bench, bench.webhook_call()))
    assert response.status_code == status
    assert response.json()["error"]
    assert len(bench.sims.log.entries) == before


def test_a_replay_is_refused_and_another_attempt_is_not(bench: Bench) -> None:
    """The same message byte for byte comes from a thief; a sender that tries again signs anew."""
    call = bench.webhook_call()
    assert [response.status_code for response in bench.send(call, call)] == [204, 409]
    bench.clock.now_ms += 1000
    again = bench.webhook_call(call.url)
    assert bench.send_one(again).status_code == 204


def test_an_endpoint_that_wants_no_more_says_so(bench: Bench) -> None:
    """410, whatever is sent; an endpoint that never was cannot be given up."""
    endpoint = bench.sims.webhook.new_endpoint()
    bench.sims.webhook.unregister(endpoint)
    assert bench.send_one(bench.webhook_call(endpoint)).status_code == 410
    with pytest.raises(KeyError):
        bench.sims.webhook.unregister("https://127.0.0.1/hooks/unknown")
