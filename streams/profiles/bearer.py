"""The bearer token of the user service, from a file that may be replaced while the worker runs."""

from __future__ import annotations

from pathlib import Path


class TokenFileError(Exception):
    """The file holds no token; the message says why, and nothing of what is in it."""


class BearerToken:
    """Read at the start, and again after it was refused. Raises TokenFileError at the start only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = _read(path)

    @property
    def header(self) -> str:
        """The value of the header Authorization."""
        return f"Bearer {self._token}"

    def renew(self) -> None:
        """Read the file again; one that cannot be read leaves the token as it was."""
        try:
            self._token = _read(self._path)
        except TokenFileError:
            return


def _read(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenFileError(f"{path}: cannot be read ({type(error).__name__})") from None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise TokenFileError(f"{path}: must hold one token, of printable ASCII without spaces")
    return token
