"""The files of the admin page: complete, without markup made of texts, and with colours that can be read."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from streams.web.page_files import CONTENT_TYPES, PAGE, load_page
from streams.web.page_view import page_routes

FILES = sorted(path for path in PAGE.rglob("*") if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
LINES_MAX = 300


def relative(path: Path) -> str:
    """A path as it is named in a test."""
    return path.relative_to(PAGE).as_posix()


def test_every_file_is_served_and_compressed() -> None:
    """Under one version, which changes with any of them."""
    page = load_page()
    assert {*page.files, "index.html"} == {relative(path) for path in FILES}
    for file in page.files.values():
        assert gzip.decompress(file.compressed) == file.body


def test_the_version_changes_with_what_is_in_the_files(tmp_path: Path) -> None:
    """So that an address always means the same bytes, whatever their names."""
    (tmp_path / "index.html").write_text("<!-- modules -->{version}")
    (tmp_path / "a.js").write_text("1")
    first = load_page(tmp_path)
    (tmp_path / "a.js").write_text("2")
    second = load_page(tmp_path)
    assert first.version != second.version
    assert second.index.body.decode().endswith(second.version)
    assert f"admin/{second.version}/a.js" in second.index.body.decode()


@pytest.mark.parametrize("path", SCRIPTS, ids=relative)
def test_modules_import_what_is_there(path: Path) -> None:
    """By relative paths, so that they stay under their version; nothing from elsewhere."""
    for name in re.findall(r'^import (?:[^"]*? from )?"([^"]+)";', path.read_text(encoding="utf-8"), re.M):
        assert name.startswith("."), name
        target = (path.parent / name).resolve()
        assert target.is_file(), name
        assert PAGE in target.parents


FORBIDDEN = (
    "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "setHTML", "DOMParser",
    "srcdoc", "javascript:", 'setAttribute("style"', "createContextualFragment", "http://", "https://",
)  # fmt: skip
ALLOWED = {"http://www.w3.org/2000/svg", "https?:"}


@pytest.mark.parametrize("path", SCRIPTS, ids=relative)
def test_no_text_becomes_markup_and_nothing_comes_from_elsewhere(path: Path) -> None:
    """Texts are shown as text: the page has no way to make anything else of them."""
    text = path.read_text(encoding="utf-8")
    for allowed in ALLOWED:
        text = text.replace(allowed, "")
    assert [each for each in FORBIDDEN if each in text] == []


def test_the_document_has_no_script_and_no_style_of_its_own() -> None:
    """The content security policy forbids both."""
    document = (PAGE / "index.html").read_text(encoding="utf-8")
    assert "<style" not in document
    assert not re.search(r"\s(style|on\w+)=", document)
    assert re.findall(r"<script[^>]*>([^<]*)</script>", document) == [""]
    assert 'lang="en"' in document


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_files_are_small_and_of_a_known_kind(path: Path) -> None:
    """One concept each; a script says first what it holds."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert path.suffix in CONTENT_TYPES
    assert len(lines) <= LINES_MAX
    assert path.suffix != ".js" or lines[0].startswith("// ")


# --- colours

TOKENS = (PAGE / "styles" / "tokens.css").read_text(encoding="utf-8")
TEXT_RATIO, MARK_RATIO = 4.5, 3.0  # WCAG 2.2 AA: 1.4.3, 1.4.11
TEXTS = [
    *((ink, ground) for ink in ("ink", "ink-2", "ink-3", "accent-text", "bad") for ground in ("paper", "card")),
    *((ink, "sunk") for ink in ("ink", "ink-2", "ink-3")),
    *((kind, f"{kind}-soft") for kind in ("good", "warn", "bad", "info")),
    *(("ink", f"{kind}-soft") for kind in ("warn", "bad")),
    *((kind, "card") for kind in ("good", "warn", "info")),
    ("accent-text", "accent-soft"),
    ("accent-ink", "accent"),
]
MARKS = [*((f"s{number}", "card") for number in range(8)), ("line-strong", "card"), ("accent", "card")]


def themes() -> Iterator[tuple[str, dict[str, str]]]:
    """The colours of the light and of the dark, by their names."""
    colours = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", TOKENS)
    yield "light", {name: light for name, light, _ in colours}
    yield "dark", {name: dark for name, _, dark in colours}


def luminance(colour: str) -> float:
    """The relative luminance, as WCAG defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, from 1 to 21."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize(("name", "colours"), list(themes()), ids=[name for name, _ in themes()])
def test_colours_can_be_told_apart(name: str, colours: dict[str, str]) -> None:
    """Texts by 4.5 to 1, marks by 3 to 1, in light and in dark."""
    weak = [
        f"{ink} on {ground}: {contrast(colours[ink], colours[ground]):.2f}"
        for pairs, least in ((TEXTS, TEXT_RATIO), (MARKS, MARK_RATIO))
        for ink, ground in pairs
        if contrast(colours[ink], colours[ground]) < least
    ]
    assert weak == []


def test_every_colour_has_one_for_the_dark() -> None:
    """Each place that names a colour has two of them."""
    assert re.findall(r"#[0-9a-f]{3,8}\b", re.sub(r"light-dark\(#[0-9a-f]{6}, #[0-9a-f]{6}\)", "", TOKENS)) == []


# --- over HTTP


def asked(headers: dict[str, str] | None = None, version: str = "", file: str = "") -> web.StreamResponse:
    """What is answered to a request for the document, or for a file of a version."""
    index, _, files = page_routes(load_page())
    match = {"version": version, "path": file}
    request = make_mocked_request("GET", "/admin", headers=headers or {}, match_info=match)
    view = cast(Callable[[web.Request], Awaitable[web.StreamResponse]], (files if file else index).handler)

    async def answer() -> web.StreamResponse:
        return await view(request)

    return asyncio.run(answer())


def test_files_are_kept_for_good_and_the_document_is_asked_for_anew() -> None:
    """An address with the version never changes; the document says which version counts."""
    version = load_page().version
    document = asked()
    assert (document.status, document.headers["Cache-Control"]) == (200, "no-cache")
    tag = document.headers["ETag"]
    assert asked({"If-None-Match": tag}).status == 304
    assert asked({"If-None-Match": '"other"'}).status == 200
    script = asked(version=version, file="main.js")
    assert "immutable" in script.headers["Cache-Control"]
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert asked({"Accept-Encoding": "br, gzip"}, version, "main.js").headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("file", ["nothing.js", "../page_view.py", "index.html", "/etc/passwd"])
def test_nothing_but_the_files_of_the_page_is_served(file: str) -> None:
    """What is no file of the page is none of its business."""
    assert asked(version=load_page().version, file=file).status == 404


def test_a_file_of_another_version_is_not_answered_with_this_one() -> None:
    """It would be kept for good under the wrong address."""
    assert asked(version="0" * 16, file="main.js").status == 404
