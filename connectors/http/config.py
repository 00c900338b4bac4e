"""Where an HTTP client goes, and how many connections, requests and seconds it may take."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

# A connection of HTTP/1.1 carries one request at a time, one of HTTP/2 hundreds: so many of the one stand for one of
# the other.
HTTP1_CONNECTIONS_FACTOR = 16


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """One origin. `ca_file` replaces the system's authorities.

    `connections`: of HTTP/2; of HTTP/1.1 there may be HTTP1_CONNECTIONS_FACTOR times as many. `streams_max` is our own
    limit per HTTP/2 connection, the server's lower one is honoured. `drain_seconds`: how long `close` waits for
    answers. `http1`: False, where a server without HTTP/2 is not the right one.
    """

    host: str
    port: int
    ca_file: str | None = None
    connections: int = 2
    streams_max: int = 500
    connect_timeout_seconds: float = 5.0
    ping_interval_seconds: float = 30.0
    ping_timeout_seconds: float = 10.0
    drain_seconds: float = 5.0
    http1: bool = True

    @classmethod
    def for_url(
        cls,
        url: str,
        setting: str,
        *,
        ca_file: str | None,
        connections: int,
        streams_max: int,
        connect_timeout_seconds: float,
        http1: bool = True,
    ) -> HttpConfig:
        """For the origin of `url`. Raises ValueError, naming `setting`, for anything but https://host[:port]."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise ValueError(f"{setting} must be https://host or https://host:port, not {url!r}")
        return cls(
            parts.hostname,
            parts.port or 443,
            ca_file,
            connections=connections,
            streams_max=streams_max,
            connect_timeout_seconds=connect_timeout_seconds,
            http1=http1,
        )

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"
