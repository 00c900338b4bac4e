"""The APNs simulator takes what Apple takes, and refuses what Apple refuses, in Apple's words."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.outcome import ProviderName
from tests.unit.simulator_bench import Bench, Call

Spoil = Callable[[Bench, Call], Call]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One set of simulators for the module; no test depends on what another left."""
    with Bench(tmp_path_factory.mktemp("apns")) as started:
        yield started


def test_accepts_a_right_request(bench: Bench) -> None:
    """A right request is answered 200 without a body, with the apns-id that it brought."""
    call = bench.apns_call()
    response = bench.send_one(call)
    assert (response.status_code, response.content, response.http_version) == (200, b"", "HTTP/2")
    assert response.headers["apns-id"] == dict(call.headers)["apns-id"]


def test_makes_up_an_apns_id(bench: Bench) -> None:
    """A request without apns-id gets a new UUID."""
    response = bench.send_one(bench.apns_call().with_header("apns-id", None))
    assert response.status_code == 200
    assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", response.headers["apns-id"])


def test_records_what_the_device_shows(bench: Bench) -> None:
    """An accepted push is on record with the fields of its payload and headers."""
    device = bench.sims.apns.new_device()
    call = bench.apns_call(device, "n-recorded")
    bench.send_one(call)
    shown = bench.sims.log.entries[-1]
    assert (shown.provider, shown.address, shown.notification_id) == (ProviderName.APNS, device, "n-recorded")
    assert (shown.type, shown.user, shown.collapse_id) == ("greeting", "u-1", "slot-1")
    assert shown.push_id == dict(call.headers)["apns-id"]
    assert (shown.at_ms, shown.expires_at_ms) == (bench.clock.now_ms, bench.clock.now_ms + 3_600_000)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("apns-priority", None),
        ("apns-priority", "5"),
        ("apns-priority", "1"),
        ("apns-expiration", None),
        ("apns-expiration", "0"),
        ("apns-collapse-id", None),
        ("apns-collapse-id", "c" * 64),
        ("apns-push-type", "mdm"),
    ],
)
def test_accepts_every_legal_header(bench: Bench, header: str, value: str | None) -> None:
    """Values that Apple documents are taken."""
    assert bench.send_one(bench.apns_call().with_header(header, value)).status_code == 200


def test_accepts_a_payload_of_4096_bytes(bench: Bench) -> None:
    """The largest payload that Apple takes is taken."""
    call = bench.apns_call()
    room = 4096 - len(json.dumps({"aps": {"alert": ""}}))
    assert bench.send_one(call.with_json({"aps": {"alert": "a" * room}})).status_code == 200


def header(name: str, value: str | None) -> Spoil:
    """Give one header another value."""
    return lambda _, call: call.with_header(name, value)


def token(**changes: object) -> Spoil:
    """Sign another provider token."""
    return lambda bench, call: call.with_header(
        "authorization",
        "bearer " + bench.provider_token(**changes),  # type: ignore[arg-type]  # (passed on as given in the table)
    )


def path(suffix: str) -> Spoil:
    """Ask for another path."""
    return lambda bench, call: replace(call, url=bench.sims.apns.url + suffix)


def too_large(bench: Bench, call: Call) -> Call:
    """One byte more than Apple takes."""
    room = 4097 - len(json.dumps({"aps": {"alert": ""}}))
    return call.with_json({"aps": {"alert": "a" * room}})


def background_at_priority_10(bench: Bench, call: Call) -> Call:
    """Apple calls it an error."""
    return call.with_header("apns-push-type", "background")


def twice(bench: Bench, call: Call) -> Call:
    """The same header twice."""
    return replace(call, headers=[*call.headers, ("apns-topic", bench.sims.apns.topic)])


def other_app(bench: Bench, call: Call) -> Call:
    """A device of another app."""
    return replace(call, url=f"{bench.sims.apns.url}/3/device/{bench.sims.apns.new_device('com.example.other')}")


REFUSALS: dict[str, tuple[Spoil, int, str]] = {
    "method": (lambda _, call: replace(call, method="GET", body=b""), 405, "MethodNotAllowed"),
    "other path": (path("/4/device/abc"), 404, "BadPath"),
    "path too long": (path("/3/device/abc/def"), 404, "BadPath"),
    "no device": (path("/3/device/"), 400, "MissingDeviceToken"),
    "no device, no slash": (path("/3/device"), 400, "MissingDeviceToken"),
    "unknown device": (path("/3/device/" + "0" * 64), 400, "BadDeviceToken"),
    "device not hex": (path("/3/device/xyz"), 400, "BadDeviceToken"),
    "device of another app": (other_app, 400, "DeviceTokenNotForTopic"),
    "header twice": (twice, 400, "DuplicateHeaders"),
    "no token": (header("authorization", None), 403, "MissingProviderToken"),
    "empty token": (header("authorization", "bearer "), 403, "MissingProviderToken"),
    "not a token": (header("authorization", "bearer abc"), 403, "InvalidProviderToken"),
    "other scheme": (header("authorization", "Basic abc"), 403, "InvalidProviderToken"),
    "other signer": (token(key=ec.generate_private_key(ec.SECP256R1())), 403, "InvalidProviderToken"),
    "other algorithm": (token(key="k" * 32, algorithm="HS256"), 403, "InvalidProviderToken"),
    "no kid": (token(header={}), 403, "InvalidProviderToken"),
    "other kid": (token(header={"kid": "ABC123DEFG"}), 403, "InvalidProviderToken"),
    "other team": (token(iss="TEAM"), 403, "InvalidProviderToken"),
    "no iat": (token(iat=None), 403, "InvalidProviderToken"),
    "iat not a number": (token(iat="now"), 403, "InvalidProviderToken"),
    "no topic": (header("apns-topic", None), 400, "MissingTopic"),
    "topic malformed": (header("apns-topic", "com example"), 400, "BadTopic"),
    "topic of others": (header("apns-topic", "com.example.other"), 400, "TopicDisallowed"),
    "topic of another push type": (header("apns-push-type", "voip"), 400, "TopicDisallowed"),
    "no push type": (header("apns-push-type", None), 400, "InvalidPushType"),
    "push type": (header("apns-push-type", "banner"), 400, "InvalidPushType"),
    "id": (header("apns-id", "1"), 400, "BadMessageId"),
    "id not canonical": (header("apns-id", uuid.uuid4().hex), 400, "BadMessageId"),
    "expiration": (header("apns-expiration", "soon"), 400, "BadExpirationDate"),
    "expiration negative": (header("apns-expiration", "-1"), 400, "BadExpirationDate"),
    "priority": (header("apns-priority", "11"), 400, "BadPriority"),
    "background at 10": (background_at_priority_10, 400, "BadPriority"),
    "collapse id": (header("apns-collapse-id", "c" * 65), 400, "BadCollapseId"),
    "no payload": (lambda _, call: replace(call, body=b""), 400, "PayloadEmpty"),
    "payload not JSON": (lambda _, call: replace(call, body=b"{"), 400, "PayloadEmpty"),
    "payload without aps": (lambda _, call: call.with_json({"notification_id": "n"}), 400, "PayloadEmpty"),
    "payload not an object": (lambda _, call: call.with_json(["aps"]), 400, "PayloadEmpty"),
    "payload too large": (too_large, 413, "PayloadTooLarge"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refuses(bench: Bench, name: str) -> None:
    """Each mistake has Apple's status and reason, an apns-id, and leaves nothing on record."""
    spoil, status, reason = REFUSALS[name]
    recorded, refused = len(bench.sims.log.entries), bench.sims.apns.counts.refused[reason]
    response = bench.send_one(spoil(bench, bench.apns_call()))
    assert (response.status_code, response.json()) == (status, {"reason": reason})
    assert response.headers["apns-id"]
    assert len(bench.sims.log.entries) == recorded
    assert bench.sims.apns.counts.refused[reason] == refused + 1


def test_an_unregistered_device_has_a_timestamp(bench: Bench) -> None:
    """A device that is gone is answered 410 with the instant in milliseconds."""
    device = bench.sims.apns.new_device()
    bench.sims.apns.unregister(device, 1_700_000_000_123)
    response = bench.send_one(bench.apns_call(device))
    assert response.status_code == 410
    assert response.json() == {"reason": "Unregistered", "timestamp": 1_700_000_000_123}


def test_a_token_expires_after_an_hour(bench: Bench) -> None:
    """A provider token is good for an hour and no longer."""
    call = bench.apns_call()
    assert bench.send_one(call).status_code == 200
    bench.clock.now_ms += 3_600_000
    assert bench.send_one(call).status_code == 200
    bench.clock.now_ms += 1
    response = bench.send_one(call)
    assert (response.status_code, response.json()) == (403, {"reason": "ExpiredProviderToken"})
    bench.clock.now_ms += 999


def test_a_token_from_the_future_is_invalid(bench: Bench) -> None:
    """A provider token issued minutes ahead is refused."""
    response = bench.send_one(token(iat=bench.clock.seconds + 600)(bench, bench.apns_call()))
    assert (response.status_code, response.json()) == (403, {"reason": "InvalidProviderToken"})


def test_a_connection_may_renew_its_token_every_20_minutes(bench: Bench) -> None:
    """A second new token within 20 minutes is refused, the first still works, and after 20 minutes a new one does.

    0 min    first 200 · second 429 · first 200
    20 min   third 200 · fourth 429
    """
    first, second, third, fourth = (bench.apns_call() for _ in range(4))

    async def exchange() -> list[int]:
        statuses = []
        async with httpx.AsyncClient(http1=False, http2=True, verify=bench.tls) as client:
            for call in (first, second, first, None, third, fourth):
                if call is None:
                    bench.clock.now_ms += 20 * 60_000
                else:
                    response = await client.post(call.url, headers=call.headers, content=call.body)
                    statuses.append(response.status_code)
                    if response.status_code == 429:
                        assert response.json() == {"reason": "TooManyProviderTokenUpdates"}
        return statuses

    assert bench.run(exchange()) == [200, 429, 200, 200, 429]


def test_a_fleet_may_have_many_tokens_but_not_one_for_each_request(tmp_path: Path) -> None:
    """A hundred tokens in 20 minutes pass, each on its own connection; the next is refused."""
    with Bench(tmp_path) as bench:
        check = bench.sims.apns.tokens.check
        for connection in range(100):
            check(f"bearer {bench.provider_token()}", connection)
        response = bench.send_one(bench.apns_call())
        assert (response.status_code, response.json()) == (429, {"reason": "TooManyProviderTokenUpdates"})


def test_http_1_1_is_not_spoken(bench: Bench) -> None:
    """A client without HTTP/2 gets no answer at all."""
    with pytest.raises(httpx.TransportError):
        bench.send_one(bench.apns_call(), http2=False)
