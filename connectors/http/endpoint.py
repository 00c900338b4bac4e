"""Endpoints are user input: whoever registers a device names the address that we connect to. Pure.

So only https, and only addresses of the public internet, looked at where they are used: the name is resolved, its
addresses are checked, and the connection goes to an address that passed, not to the name again.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

# The longest endpoints in use (WNS) have about 700 characters.
URL_CHARACTERS_MAX = 2_048
# RFC 6052: IPv4 behind a NAT64 gateway, which Python counts as global whatever is inside.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# RFC 6761, RFC 6762, RFC 8375, and what the ICANN keeps for private use: names that mean nothing on the internet.
_LOCAL_NAMES = (".localhost", ".local", ".home.arpa", ".internal")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The parts of an endpoint; `origin` is what a VAPID token is for (RFC 8292 section 2)."""

    origin: str
    host: str
    port: int
    path: str


def parse_endpoint(url: str) -> Endpoint | None:
    """The endpoint, or None where it is not an https URL that a push service or a receiver could have given out."""
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        return None
    host = parts.hostname
    if parts.scheme != "https" or not host or parts.username is not None or parts.password is not None:
        return None
    shown = f"[{host}]" if ":" in host else host
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(f"https://{shown}" if port == 443 else f"https://{shown}:{port}", host, port, path)


def is_local_host(host: str) -> bool:
    """Whether the host of an endpoint is one of our own network as it stands, without asking anybody who it is."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    else:
        return not is_public_address(host)
    try:  # `127.1` and `0x7f000001` are addresses for whoever resolves names, and for nobody else
        return not is_public_address(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        pass
    name = f".{host.rstrip('.').lower()}"
    return "." not in name[1:] or name.endswith(_LOCAL_NAMES)


def is_public_address(address: str) -> bool:
    """Whether an IP address belongs to the public internet: not private, loopback, link-local, multicast or reserved,
    not even inside one of the IPv6 forms that carry an IPv4 address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inside = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inside = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inside is not None:
            return is_public_address(str(inside))
        if ip.teredo is not None or ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def endpoint_fault(address: str, what: str, *, allow_private: bool) -> str | None:
    """What is wrong with a URL that somebody registers, as a sentence that begins with the field; None: nothing.

    `what` it must be. A name is not resolved here, so it may still lead to a private address: who connects looks again.
    """
    endpoint = parse_endpoint(address)
    if endpoint is None:
        return f"address: must be {what}, an https URL of at most {URL_CHARACTERS_MAX} characters"
    if not allow_private and is_local_host(endpoint.host):
        return f"address: {endpoint.host} is not on the public internet, and private endpoints are not allowed here"
    return None
