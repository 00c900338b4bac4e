"""Endpoints that are user input: which URLs are taken, and to which addresses a connection goes."""

from __future__ import annotations

import asyncio

import pytest

from connectors.exchange import ConnectError
from connectors.http.connect import Connection, connect, tls_context
from connectors.http.endpoint import Endpoint, is_public_address, parse_endpoint
from connectors.http.origins import resolve_public


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://a.example", Endpoint("https://a.example", "a.example", 443, "/")),
        ("https://a.example:443/x?y=z", Endpoint("https://a.example", "a.example", 443, "/x?y=z")),
        ("https://A.example:8443/X", Endpoint("https://a.example:8443", "a.example", 8443, "/X")),
        ("https://[2606:4700::1111]/x", Endpoint("https://[2606:4700::1111]", "2606:4700::1111", 443, "/x")),
        ("https://a.example/x#fragment", Endpoint("https://a.example", "a.example", 443, "/x")),
    ],
)
def test_an_endpoint_is_taken_apart(url: str, endpoint: Endpoint) -> None:
    """Origin, host, port and what is asked for; a fragment is never sent."""
    assert parse_endpoint(url) == endpoint


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
def test_what_is_no_endpoint_is_not_asked(url: str) -> None:
    """Only https, without credentials, control characters or excessive length."""
    assert parse_endpoint(url) is None


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
