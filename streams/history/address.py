"""Where the history is: a PostgreSQL server (or what speaks its protocol), or an SQLite file. No password is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

SCHEMES = "postgresql://user:password@host/database, sqlite:///path or sqlite:path"


@dataclass(frozen=True, slots=True)
class SqliteAddress:
    """A file."""

    path: Path

    def __str__(self) -> str:
        return f"SQLite, {self.path}"


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A server. `url` may hold a password, and is never shown."""

    url: str

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        where = parts.netloc.rpartition("@")[2]
        return f"PostgreSQL, {where or 'localhost'}{parts.path}"

    def without_secrets(self, text: str) -> str:
        """Return what libpq says without the password, wherever it stands."""
        parts = urlsplit(self.url)
        written = parts.netloc.rpartition("@")[0].partition(":")[2]
        secrets = {written, unquote(written)} | {
            unquote(value)
            for name, _, value in (each.partition("=") for each in parts.query.split("&"))
            if name in ("password", "sslpassword")
        }
        for secret in sorted(secrets - {""}, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def read_address(url: str) -> SqliteAddress | PostgresAddress:
    """Read RINGONCE_HISTORY_URL. Raises ValueError, whose sentence does not repeat it."""
    scheme, colon, rest = url.partition(":")
    if colon and scheme in ("postgresql", "postgres"):
        return PostgresAddress(_checked(url))
    if colon and scheme == "sqlite":
        path = unquote(rest.removeprefix("//"))
        if rest.startswith("//") and not path.startswith("/"):
            raise ValueError("must be sqlite:///path for an absolute path, or sqlite:path")
        if not path.strip("/"):
            raise ValueError("must name a file after sqlite:")
        return SqliteAddress(Path(path))
    raise ValueError(f"must be one of {SCHEMES}")


def _checked(url: str) -> str:
    import psycopg.conninfo  # its import takes 60 ms, which whoever keeps no history there need not pay

    try:
        psycopg.conninfo.conninfo_to_dict(url)
        _ = urlsplit(url).port
    except (psycopg.Error, ValueError):  # what they say repeats what they could not read
        raise ValueError(
            "cannot be read as a URL: what is special in user or password must be percent-encoded"
        ) from None
    return url
