"""Free TCP ports that stay free while a broker is down."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST = 10_000
_TRIES = 200


def free_ports(count: int) -> list[int]:
    """`count` distinct ports that are free on the loopback interface now.

    They lie below the range that the system takes ports of outgoing connections from: a client that keeps connecting
    to the port of a stopped broker would otherwise, sooner or later, get that very port for itself, connect to itself,
    and keep the broker from coming back.
    """
    highest = min(_ephemeral_low(), 32_768) - 1
    choose = random.SystemRandom()
    ports: list[int] = []
    for _ in range(_TRIES):
        port = choose.randint(_LOWEST, highest) if highest > _LOWEST else 0
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            bound = int(listener.getsockname()[1])
        if bound not in ports:
            ports.append(bound)
        if len(ports) == count:
            return ports
    raise OSError(f"no {count} free ports on 127.0.0.1 in {_TRIES} tries")


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback port now; one that is merely closing does not count as taken."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ephemeral_low() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 32_768  # The lowest default of the systems that Python runs on.
