"""A folder of templates, `<type>.toml` each: read as a whole at the start, then whatever changes.

It is looked at every other second, because a file system that is mounted over a network tells nobody of its changes.
"""

from __future__ import annotations

import asyncio
import logging
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from streams.policies.rendering import TypeTemplate
from streams.templates.documents import TemplateDocument, TemplatesError, compiled, read_document
from streams.templates.library import TemplateLibrary

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
SUFFIX: Final = ".toml"
FILE_BYTES_MAX: Final = 1024 * 1024


class Stamp(NamedTuple):
    """What changes when a file does."""

    modified_ns: int
    size: int
    inode: int


Read = dict[str, "TypeTemplate | TemplatesError | None"]


def template_files(folder: Path) -> dict[Path, Stamp]:
    """Return the files of a folder that hold templates. Raises OSError."""
    found: dict[Path, Stamp] = {}
    for path in sorted(folder.iterdir()):
        if path.name.endswith(SUFFIX) and not path.name.startswith("."):
            status = path.stat()
            found[path] = Stamp(status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def read_file(path: Path) -> TemplateDocument:
    """Return what a file says of the type that it is named after. Raises TemplatesError, whose lines name it."""
    with _naming(path):
        try:
            content = path.read_bytes()
            if len(content) > FILE_BYTES_MAX:
                raise TemplatesError([f"has more than {FILE_BYTES_MAX:,} bytes"])
            values = tomllib.loads(content.decode())
        except OSError as error:
            raise TemplatesError([f"cannot be read: {error.strerror}"]) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise TemplatesError([f"is not TOML: {error}"]) from None
        return read_document(type_of(path), values)


def type_of(path: Path) -> str:
    """Return the type that a file is for."""
    return path.name.removesuffix(SUFFIX)


def compiled_file(path: Path) -> TypeTemplate:
    """Return the template of a file, compiled and checked. Raises TemplatesError, whose lines name the file."""
    document = read_file(path)
    with _naming(path):
        return compiled(document, "folder")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except TemplatesError as error:
        raise TemplatesError(f"{path.name}: {line}" for line in error.lines) from None


class TemplateFolder:
    """Keeps the library as the folder is."""

    def __init__(self, path: Path, library: TemplateLibrary, look_seconds: float = LOOK_SECONDS) -> None:
        self._path = path
        self._library = library
        self._look_seconds = look_seconds
        self._seen: dict[Path, Stamp] = {}
        self._read: dict[Path, Stamp] = {}
        self._unreadable = False

    def load(self, strict: bool) -> None:
        """Read all files. Raises TemplatesError where one cannot be used, if `strict`; else that one is refused."""
        try:
            files = template_files(self._path)
        except OSError as error:
            raise TemplatesError([f"{self._path}: cannot be read: {error.strerror}"]) from None
        self._seen = self._read = files
        read = _read_all(files)
        lines = [line for found in read.values() if isinstance(found, TemplatesError) for line in found.lines]
        if lines and strict:
            raise TemplatesError(f"{self._path}: {line}" for line in lines)
        self._take(read)

    async def run(self) -> None:
        """Look for changes, for ever."""
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                await self.look()
            except Exception:  # whatever it is, a worker that no longer looks is the worse end
                logger.exception("%s: the templates stay as they are", self._path)

    async def look(self) -> None:
        """Look for changes once. A file that is being written is read when it has come to rest."""
        try:
            files = await asyncio.to_thread(template_files, self._path)
        except OSError as error:
            if not self._unreadable:
                logger.error("%s: cannot be read: %s; the templates stay as they are", self._path, error.strerror)
            self._unreadable = True
            return
        self._unreadable = False
        changed = {
            path: stamp for path, stamp in files.items() if stamp == self._seen.get(path) != self._read.get(path)
        }
        gone = [path for path in self._read if path not in files and path not in self._seen]
        self._seen = files
        self._read = {path: stamp for path, stamp in {**self._read, **changed}.items() if path not in gone}
        if changed or gone:
            self._take({**await asyncio.to_thread(_read_all, changed), **{type_of(path): None for path in gone}})

    def _take(self, read: Read) -> None:
        for type, found in read.items():
            if isinstance(found, TypeTemplate):
                self._library.put("folder", found)
            elif found is None:
                self._library.remove("folder", type)
            else:
                self._library.refuse("folder", type, found)


def _read_all(files: dict[Path, Stamp]) -> Read:
    read: Read = {}
    for path in files:
        try:
            read[type_of(path)] = compiled_file(path)
        except TemplatesError as error:
            read[type_of(path)] = error
    return read
