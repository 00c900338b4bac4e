"""Where a request comes from, as far as a browser tells: other pages than our own get nothing and do nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

from streams.web.security.scopes import SAFE_METHODS

LOCAL_NAMES: Final = frozenset(("localhost", "ip6-localhost"))


def foreign_origin(method: str, headers: Mapping[str, str], is_page: bool) -> str | None:
    """Return the sentence by which a request of a page elsewhere is refused; None: it may be one of ours.

    A browser says with every request whether it comes from elsewhere (`Sec-Fetch-Site`, also for another port of the
    same host), an older one at least with those that write (`Origin`). `is_page`: links to it may stand anywhere.
    """
    site = headers.get("Sec-Fetch-Site", "none").lower()
    if site not in ("none", "same-origin"):
        is_link = method in SAFE_METHODS and headers.get("Sec-Fetch-Mode", "").lower() == "navigate"
        if not (is_page and is_link):
            return "a web page elsewhere sent this (Sec-Fetch-Site)"
    origin = headers.get("Origin")
    if origin is not None and not _same_host(origin, headers.get("Host", "")):
        return "a web page elsewhere sent this (Origin)"
    return None


def _same_host(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
        default = {"http": 80, "https": 443}[parts.scheme]
        own = urlsplit(f"//{host}")
        # A proxy that ends TLS leaves no trace in the Host: a port that is not named is that of the origin's scheme.
        same_port = (parts.port or default) == (own.port or default)
        return bool(parts.hostname) and parts.hostname == own.hostname and same_port
    except (ValueError, KeyError):  # `null`, and everything else that is no origin
        return False


def host_is_ours(host: str, names: Collection[str]) -> bool:
    """Tell whether a page can only have this host as its own if it is ours.

    A name may be anybody's and lead here (DNS rebinding); an address cannot, nor can `localhost`.
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    if not name:
        return False
    if name in LOCAL_NAMES or name.endswith(".localhost") or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Tell whether what listens there can be reached from this machine only."""
    if host.lower() in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
