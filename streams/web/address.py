"""Where the web views listen, and under which name other workers reach them."""

from __future__ import annotations

import ipaddress
import socket

from streams.setting_error import ENV_PREFIX, SettingsError
from streams.settings import Settings


def web_port(settings: Settings) -> int:
    """Return the port to listen on: other workers forward to it, so it is known before the server listens.

    Raises SettingsError where somebody else listens there, or where the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.web_host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the server: an earlier one's rest is no hindrance
        try:
            probe.bind((settings.web_host, settings.web_port))
            probe.listen()
        except socket.gaierror as error:
            raise SettingsError(f"{ENV_PREFIX}WEB_HOST: {settings.web_host} is no address: {error.strerror}") from None
        except OSError as error:
            name = "WEB_PORT" if settings.web_port else "WEB_HOST"
            where = f"{settings.web_host}:{settings.web_port}"
            raise SettingsError(f"{ENV_PREFIX}{name}: cannot listen on {where}: {error.strerror}") from None
        return int(probe.getsockname()[1])


def advertised_host(settings: Settings) -> str:
    """Return the host by which other workers reach this one, as it stands in a URL.

    Where the server listens on all addresses, it is the one that Kafka is reached from: nothing is sent to find it out.
    """
    host = settings.web_advertised_host or settings.web_host
    if _is_wildcard(host) and settings.bootstrap is not None:
        broker, _, port = settings.bootstrap.split(",")[0].strip().rpartition(":")
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                broker.strip("[]"), int(port), type=socket.SOCK_DGRAM
            )[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)
                host = str(probe.getsockname()[0])
        except OSError:
            host = socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
