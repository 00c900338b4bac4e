"""The Web Push simulator takes what RFC 8030, 8188, 8291 and 8292 allow, and refuses the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.outcome import ProviderName
from tests.unit.simulator_bench import Bench, Call, base64url, encrypt, point, unbase64url

Spoil = Callable[[Bench, Call], Call]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One set of simulators for the module; no test depends on what another left."""
    with Bench(tmp_path_factory.mktemp("webpush")) as started:
        yield started


@pytest.mark.parametrize("http2", [True, False])
def test_accepts_a_right_request(bench: Bench, http2: bool) -> None:
    """A right request is answered 201 with the message's own URL and the TTL, over both versions of HTTP."""
    response = bench.send_one(bench.webpush_call(), http2=http2)
    assert (response.status_code, response.content) == (201, b"")
    assert response.headers["location"].startswith(bench.sims.webpush.url + "/message/")
    assert response.headers["ttl"] == "3600"


def test_records_what_the_browser_shows(bench: Bench) -> None:
    """An accepted push is decrypted, and on record with the fields of its payload."""
    subscription = bench.sims.webpush.new_subscription()
    bench.send_one(bench.webpush_call(subscription, "n-recorded"))
    shown = bench.sims.log.entries[-1]
    assert (shown.provider, shown.address) == (ProviderName.WEBPUSH, subscription.endpoint)
    assert (shown.notification_id, shown.type, shown.user) == ("n-recorded", "greeting", "u-1")
    assert (shown.collapse_id, shown.expires_at_ms) == ("slot-1", bench.clock.now_ms + 3_600_000)


def test_the_same_topic_replaces_the_pending_message(bench: Bench) -> None:
    """Two messages with one Topic are two pushes on record, but one that is shown."""
    subscription = bench.sims.webpush.new_subscription()
    counts = bench.sims.webpush.counts
    accepted, shown = counts.accepted, counts.shown
    bench.send(bench.webpush_call(subscription, "n-1"), bench.webpush_call(subscription, "n-2"))
    assert (counts.accepted, counts.shown) == (accepted + 2, shown + 1)
    pending = bench.sims.webpush.pending[subscription.endpoint, "slot-1"]
    assert pending["data"]["notification_id"] == "n-2"


def test_subscriptions_differ_though_keys_are_shared(bench: Bench) -> None:
    """Any two subscriptions have their own endpoint and secret; keys come from a pool, so that thousands are cheap."""
    subscriptions = [bench.sims.webpush.new_subscription() for _ in range(200)]
    assert len({subscription.endpoint for subscription in subscriptions}) == 200
    assert len({subscription.auth for subscription in subscriptions}) == 200
    assert len({subscription.p256dh for subscription in subscriptions}) <= 64
    assert {len(unbase64url(subscription.p256dh)) for subscription in subscriptions} == {65}
    assert {len(unbase64url(subscription.auth)) for subscription in subscriptions} == {16}
    assert bench.send_one(bench.webpush_call(subscriptions[-1])).status_code == 201


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ttl", "0"),
        ("ttl", "2592001"),
        ("urgency", None),
        ("urgency", "very-low"),
        ("topic", None),
        ("topic", "A-z_0" * 6 + "ab"),
    ],
)
def test_accepts_every_legal_header(bench: Bench, header: str, value: str | None) -> None:
    """Values that the RFCs allow are taken."""
    assert bench.send_one(bench.webpush_call().with_header(header, value)).status_code == 201


def test_accepts_a_body_of_4096_bytes(bench: Bench) -> None:
    """The largest body that every service must take is taken, and one byte more is not."""
    subscription = bench.sims.webpush.new_subscription()
    overhead = len(encrypt(b"x", subscription)) - 1
    for size, status in ((4096, 201), (4097, 413)):
        payload = b'{"data":{}}'.ljust(size - overhead)
        call = replace(bench.webpush_call(subscription), body=encrypt(payload, subscription))
        assert len(call.body) == size
        assert bench.send_one(call).status_code == status


def header(name: str, value: str | None) -> Spoil:
    """Give one header another value."""
    return lambda _, call: call.with_header(name, value)


def vapid(**changes: object) -> Spoil:
    """Sign another VAPID token."""
    return lambda bench, call: call.with_header(
        "authorization",
        bench.vapid(**changes),  # type: ignore[arg-type]  # (passed on as given in the table)
    )


def vapid_expiring(seconds: int) -> Spoil:
    """Sign a VAPID token that runs out that many seconds from now."""
    return lambda bench, call: call.with_header("authorization", bench.vapid(exp=bench.clock.seconds + seconds))


def for_another_browser(bench: Bench, call: Call) -> Call:
    """Encrypted for somebody else."""
    return replace(call, body=encrypt(b"{}", bench.sims.webpush.new_subscription()))


def not_json(bench: Bench, call: Call) -> Call:
    """Well encrypted, but not what our service worker reads."""
    subscription = bench.sims.webpush.new_subscription()
    return replace(call, url=subscription.endpoint, body=encrypt(b"hello", subscription))


def flipped(index: int) -> Spoil:
    """One bit of the body is wrong."""

    def spoil(_: Bench, call: Call) -> Call:
        body = bytearray(call.body)
        body[index] ^= 1
        return replace(call, body=bytes(body))

    return spoil


STRANGER = ec.generate_private_key(ec.SECP256R1())
REFUSALS: dict[str, tuple[Spoil, int, int]] = {
    "unknown endpoint": (lambda bench, call: replace(call, url=bench.sims.webpush.url + "/push/x"), 404, 102),
    "method": (lambda _, call: replace(call, method="PUT"), 405, 0),
    "no vapid": (header("authorization", None), 401, 109),
    "other scheme": (header("authorization", "Bearer abc"), 403, 109),
    "no parameters": (header("authorization", "vapid x"), 403, 109),
    "signed by a stranger": (vapid(key=STRANGER), 403, 109),
    "signed by a stranger in our name": (
        lambda bench, call: vapid(key=STRANGER, k=base64url(point(bench.vapid_key)))(bench, call),
        403,
        109,
    ),
    "k is no key": (vapid(k="abc"), 403, 109),
    "other audience": (vapid(aud="https://example.com"), 403, 109),
    "no audience": (vapid(aud=None), 403, 109),
    "no exp": (vapid(exp=None), 403, 109),
    "no sub": (vapid(sub=None), 403, 109),
    "sub without a scheme": (vapid(sub="push@example.com"), 403, 109),
    "run out": (vapid_expiring(-1), 403, 109),
    "longer than a day": (vapid_expiring(24 * 3600 + 1), 403, 109),
    "no ttl": (header("ttl", None), 400, 111),
    "ttl": (header("ttl", "-1"), 400, 112),
    "ttl not a number": (header("ttl", "1h"), 400, 112),
    "urgency": (header("urgency", "urgent"), 400, 110),
    "topic too long": (header("topic", "t" * 33), 400, 113),
    "topic alphabet": (header("topic", "user:1"), 400, 113),
    "no content encoding": (header("content-encoding", None), 400, 110),
    "old content encoding": (header("content-encoding", "aesgcm"), 400, 110),
    "no body": (lambda _, call: replace(call, body=b""), 400, 110),
    "too large": (lambda _, call: replace(call, body=os.urandom(4097)), 413, 104),
    "shorter than its header": (lambda _, call: replace(call, body=call.body[:20]), 400, 110),
    "no ciphertext": (lambda _, call: replace(call, body=call.body[:86]), 400, 110),
    "salt changed": (flipped(0), 400, 110),
    "keyid length changed": (flipped(20), 400, 110),
    "key changed": (flipped(50), 400, 110),
    "ciphertext changed": (flipped(-1), 400, 110),
    "for another browser": (for_another_browser, 400, 110),
    "payload not JSON": (not_json, 400, 110),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refuses(bench: Bench, name: str) -> None:
    """Each mistake has its status and autopush's error number, and leaves nothing on record."""
    spoil, status, errno = REFUSALS[name]
    recorded = len(bench.sims.log.entries)
    response = bench.send_one(spoil(bench, bench.webpush_call()))
    assert (response.status_code, response.json()["code"], response.json()["errno"]) == (status, status, errno)
    assert len(bench.sims.log.entries) == recorded


def test_a_record_size_below_the_record_is_refused(bench: Bench) -> None:
    """More than one record is not allowed (RFC 8291 section 4)."""
    call = bench.webpush_call()
    body = call.body[:16] + (18).to_bytes(4, "big") + call.body[20:]
    assert bench.send_one(replace(call, body=body)).status_code == 400


@pytest.mark.parametrize(("status", "errno"), [(410, 106), (404, 102)])
def test_a_subscription_that_is_gone(bench: Bench, status: int, errno: int) -> None:
    """An endpoint that was withdrawn is answered 410, or 404 where the service is of that kind."""
    subscription = bench.sims.webpush.new_subscription()
    bench.sims.webpush.unregister(subscription.endpoint, status=status)
    response = bench.send_one(bench.webpush_call(subscription))
    assert (response.status_code, response.json()["errno"]) == (status, errno)


def test_a_vapid_token_runs_out(bench: Bench) -> None:
    """A token that was good is refused from the second of its exp on."""
    call = bench.webpush_call()
    assert bench.send_one(call).status_code == 201
    bench.clock.now_ms += 3_600_000
    assert bench.send_one(call).status_code == 403
