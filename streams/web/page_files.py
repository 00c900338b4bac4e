"""The files of the admin page: read once when the worker starts, and named by what is in them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parent / "page"
INDEX = "index.html"
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
VERSION_MARK = "{version}"
MODULES_MARK = "<!-- modules -->"


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file as it is sent, and the same compressed."""

    body: bytes
    compressed: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Page:
    """All files by their paths. `version` is a hash over them, so that each address always means the same bytes."""

    version: str
    index: PageFile
    files: Mapping[str, PageFile]


def load_page(folder: Path = PAGE) -> Page:
    """Read the page. Modules refer to each other by relative paths, so one version in the address serves for all."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in CONTENT_TYPES
    }
    digest = hashlib.sha256()
    for name, body in found.items():
        digest.update(f"{name}\0{len(body)}\0".encode() + body)
    version = digest.hexdigest()[:16]
    index = found.pop(INDEX).decode()
    # Without these the browser finds the modules one after the other, each only when its importer has arrived.
    preloads = "\n".join(
        f'<link rel="modulepreload" href="admin/{version}/{name}">' for name in found if name.endswith(".js")
    )
    index = index.replace(MODULES_MARK, preloads).replace(VERSION_MARK, version)
    return Page(version, _file(INDEX, index.encode()), {name: _file(name, body) for name, body in found.items()})


def _file(name: str, body: bytes) -> PageFile:
    return PageFile(body, gzip.compress(body, 9, mtime=0), CONTENT_TYPES[Path(name).suffix])
