"""The file of API keys: written whole or not at all, and read again by every worker when it changes."""

from __future__ import annotations

import json
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from streams.web.security.keys import ApiKey, KeyBook

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0  # a revoked key is good for no longer than this
FILE_BYTES_MAX: Final = 16 * 1024 * 1024  # some 50,000 keys
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH

Signature = tuple[int, int, int]


class KeysFileError(Exception):
    """The file cannot be used; the sentence says what to do."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int
    keys: list[ApiKey]


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Read all keys. Raises KeysFileError, which shows nothing of the file; FileNotFoundError is one of its causes."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & _WRITABLE_BY_OTHERS:
                raise KeysFileError(f"{path}: others may write to it; chmod 600 {path}")
            if status.st_size > FILE_BYTES_MAX:
                raise KeysFileError(f"{path}: has more than {FILE_BYTES_MAX:,} bytes")
            text = file.read()
    except FileNotFoundError as error:
        raise KeysFileError(f"{path}: there is no such file; `ringonce keys create` makes it") from error
    except OSError as error:
        raise KeysFileError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        document = _Document.model_validate(json.loads(text))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise KeysFileError(f"{path}: {where or 'the whole'} is not as `ringonce keys` writes it") from None
    except (ValueError, RecursionError):
        raise KeysFileError(f"{path}: is not JSON as `ringonce keys` writes it") from None
    if document.version != 1:
        raise KeysFileError(f"{path}: is of version {document.version}, this ringonce knows version 1")
    if len({key.id for key in document.keys}) < len(document.keys):
        raise KeysFileError(f"{path}: two keys have the same id")
    return tuple(document.keys)


def change_keys(path: Path, change: Callable[[tuple[ApiKey, ...]], tuple[ApiKey, ...]]) -> None:
    """Replace the keys by what `change` makes of them, one change at a time. Raises KeysFileError."""
    try:
        with _locked(path):
            before = read_keys(path) if path.exists() else ()
            document = _Document(version=1, keys=list(change(before)))
            write_private(path, document.model_dump_json(indent=1).encode() + b"\n")
    except OSError as error:
        raise KeysFileError(f"{path}: cannot be written: {error.strerror}") from error


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, so that whoever reads it sees the old one or all of the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # with 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold off other commands that change the same file."""
    try:
        import fcntl
    except ImportError:  # there is none for Windows, where one person changes the file at a time
        yield
        return
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class KeysFile:
    """The keys as the file has them, looked at again at most once in LOOK_SECONDS.

    A file that cannot be read any more lets nobody in: what it says of a revoked key is not known.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float]) -> None:
        self._path = path
        self._monotonic = monotonic
        self._book: KeyBook | None = None
        self._signature: Signature | None = None
        self._look_at = 0.0
        self._error = ""

    @property
    def book(self) -> KeyBook:
        """The keys as of now. Raises KeysFileError."""
        now = self._monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._look()
        if self._book is None:
            raise KeysFileError(self._error)
        return self._book

    def _look(self) -> None:
        try:
            status = self._path.stat()
            signature = (status.st_ino, status.st_mtime_ns, status.st_size)
            if signature == self._signature and self._book is not None:
                return
            book = KeyBook(read_keys(self._path))
        except (OSError, KeysFileError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            if str(said) != self._error:
                logger.error("the file of API keys lets nobody in: %s", said)
            self._book, self._signature, self._error = None, None, str(said)
            return
        self._book, self._signature, self._error = book, signature, ""
