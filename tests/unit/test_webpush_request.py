"""Push → request for Web Push, and what an endpoint may be."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.credentials import base64url
from connectors.exchange import ConnectError
from connectors.http.connect import Connection, connect, tls_context
from connectors.http.endpoint import Endpoint, is_public_address, parse_endpoint
from connectors.http.origins import resolve_public
from connectors.outcome import Device, NotSent, ProviderName, Push
from connectors.webpush.encryption import PLAINTEXT_BYTES_MAX, public_bytes
from connectors.webpush.request import WebPushRequest, build_request, payload, staying_fields

NOW = 1_700_000_000.5
NOW_MS = 1_700_000_000_500
RECEIVER = ec.derive_private_key(11, ec.SECP256R1())
AUTH = bytes(range(16))
PUSH = Push(
    push_id="123e4567-e89b-42d3-a456-426614174000",
    notification_id="n-1",
    type="like",
    device=Device(
        "d",
        ProviderName.WEBPUSH,
        "https://push.example/send/abc?x=1",
        base64url(public_bytes(RECEIVER.public_key())),
        base64url(AUTH),
    ),
    title="T",
    body="B",
    data={"k": "v"},
    ttl_seconds=3_600,
    collapse_id="c" * 32,
)


def test_the_request_goes_to_the_endpoint_and_can_be_read_by_the_browser() -> None:
    """Topic is the collapse id; the body decrypts to title, body, tag and data."""
    request = build_request(PUSH, NOW)
    assert isinstance(request, WebPushRequest)
    assert request.endpoint == Endpoint("https://push.example", "push.example", 443, "/send/abc?x=1")
    assert request.fields == (("topic", "c" * 32),)
    text = http_ece.decrypt(request.body, private_key=RECEIVER, auth_secret=AUTH, version="aes128gcm")
    assert json.loads(text) == {
        "title": "T",
        "body": "B",
        "tag": "c" * 32,
        "data": {"k": "v", "notification_id": "n-1", "type": "like", "push_id": PUSH.push_id},
    }
    assert dict(staying_fields("vapid t=a, k=b", 3_600, urgent=True)) == {
        "authorization": "vapid t=a, k=b",
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
        "ttl": "3600",
        "urgency": "high",
    }


def test_the_payload_is_limited_before_anything_is_sent() -> None:
    """One byte more than fits into 4,096 encrypted bytes is too large."""
    room = PLAINTEXT_BYTES_MAX - len(payload(PUSH))
    assert isinstance(build_request(replace(PUSH, body="B" + "x" * room), NOW), WebPushRequest)
    assert build_request(replace(PUSH, body="B" + "x" * (room + 1)), NOW) == NotSent("payload_too_large", retry=False)


@pytest.mark.parametrize(
    "change", [{"p256dh": None}, {"auth": None}, {"p256dh": "!!!"}, {"auth": "\u2603"}, {"auth": "AA"}]
)
def test_a_subscription_without_usable_keys_is_gone(change: dict[str, str | None]) -> None:
    """Nothing can ever be encrypted for it."""
    outcome = build_request(replace(PUSH, device=replace(PUSH.device, **change)), NOW)  # type: ignore[arg-type]  # by name
    assert outcome == NotSent("invalid_subscription_key", retry=False, gone_at_ms=NOW_MS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://push.example/a",
        "ftp://push.example/a",
        "https:///a",
        "https://user:pw@push.example/a",
        "https://push.example:99999/a",
        "https://push.example/a b",
        "https://push.example/\r\nhost: other",
        "https://push.example/\u2603",
        "https://push.example/" + "a" * 3_000,
        "https://[::1/a",
    ],
)
def test_an_endpoint_that_no_push_service_gives_out_is_not_asked(url: str) -> None:
    """Only https, without credentials, control characters or excessive length."""
    assert parse_endpoint(url) is None
    outcome = build_request(replace(PUSH, device=replace(PUSH.device, address=url)), NOW)
    assert outcome == NotSent("invalid_address", retry=False, gone_at_ms=NOW_MS)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("169.254.169.254", False),
        ("192.168.1.1", False),
        ("172.16.0.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("not an address", False),
    ],
)
def test_only_addresses_of_the_public_internet_count(address: str, public: bool) -> None:
    """Private, loopback, link-local, multicast and reserved addresses do not, also inside an IPv6 address."""
    assert is_public_address(address) is public


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "::1"])
def test_a_name_for_this_machine_does_not_resolve(host: str) -> None:
    """Whatever way the loopback is written, it is judged by the address that it resolves to."""
    with pytest.raises((ConnectError, OSError)):
        asyncio.run(resolve_public(host, 443))


def test_a_name_is_resolved_once_and_connected_to_where_it_was_checked() -> None:
    """DNS that answers public first and private afterwards does not get us to the private address."""
    answers = [["93.184.215.14", "10.0.0.1"], ["127.0.0.1"]]
    asked: list[str] = []
    connected: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
            asked.append(host)
            return [(None, None, 0, "", (address, port)) for address in answers[len(asked) - 1]]

        async def create_connection(_: object, host: str, port: int, **__: object) -> None:
            connected.append(host)
            raise ConnectionRefusedError(host)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "getaddrinfo", getaddrinfo)
            patch.setattr(loop, "create_connection", create_connection)
            for _ in answers:
                with pytest.raises(ConnectError):
                    await connect("push.example", 443, unused, tls_context(None, http1=True), resolve_public, 5.0)

    def unused(_: str | None) -> Connection:
        raise AssertionError("no connection comes about")

    asyncio.run(main())
    assert asked == ["push.example", "push.example"]
    assert connected == ["93.184.215.14"]
