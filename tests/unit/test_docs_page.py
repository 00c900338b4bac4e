"""The page of the API: all of the document is on it, nothing on it can run, and its examples are what they say."""

from __future__ import annotations

import json
import re
import shlex
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest

from streams.web.contract.document import openapi_document
from streams.web.contract.operations import OPERATIONS
from streams.web.docs_page import page_of, type_of
from streams.web.problem_kinds import KINDS, URN

DOCUMENT = openapi_document()
PAGE = page_of(DOCUMENT)


class Elements(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.code: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br"):
            self._open.append(tag)
        if self._open[-2:] == ["pre", "code"]:
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._open[-2:] == ["pre", "code"]:
            self.code[-1] += data


@pytest.fixture(scope="module")
def page() -> Elements:
    """The page, read; each element is closed."""
    found = Elements()
    found.feed(PAGE)
    found.close()
    return found


def test_every_operation_and_every_kind_of_problem_is_there(page: Elements) -> None:
    """With its path, its parameters, its fields and all of its answers."""
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert {each.id for each in OPERATIONS} <= ids
    assert {f"problem-{name}" for name in KINDS} <= ids
    assert {f"schema-{name}" for name in DOCUMENT["components"]["schemas"]} <= ids
    text = "".join(page.text)
    for operation in OPERATIONS:
        assert operation.path in text
    for name in KINDS:
        assert URN + name in text


def test_every_link_leads_somewhere(page: Elements) -> None:
    """On the page, or to the document; an id is there once."""
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        if tag == "a":
            target = attributes["href"] or ""
            assert target == "/openapi.json" or target.removeprefix("#") in ids, target


def test_nothing_on_it_can_run_or_comes_from_elsewhere(page: Elements) -> None:
    """No script, no style of an element, no address outside: so says the policy that browsers are told."""
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "style", "iframe", "img", "object", "base", "form"}
    for _, attributes in page.elements:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
    (link,) = [attributes for tag, attributes in page.elements if tag == "link"]
    assert link["href"] == "/docs/docs.css"
    styles = files("streams.web").joinpath("docs/docs.css").read_text(encoding="utf-8")
    assert "url(" not in styles
    assert "@import" not in styles


def test_an_example_is_a_command(page: Elements) -> None:
    """One for each example of the document, which a shell takes apart as it was meant."""
    wanted = sum(1 if each.body is None else len(each.body.examples) for each in OPERATIONS)
    assert len(page.code) == wanted
    bodies: list[Any] = []
    for command in page.code:
        words = shlex.split(command)
        assert words[0] == "curl"
        if "--json" in words:
            bodies.append(json.loads(words[words.index("--json") + 1]))
    examples = [each for operation in OPERATIONS if operation.body for each in operation.body.examples.values()]
    assert bodies == [each for each in examples if not isinstance(each, str)]


def test_whoever_speaks_in_the_document_cannot_speak_html() -> None:
    """Texts are shown as texts."""
    evil = '<script>alert("x")</script>'
    document = json.loads(json.dumps(DOCUMENT))
    document["info"]["title"] = evil
    document["paths"]["/schedule"]["get"]["description"] = f"`{evil}` {evil}"
    shown = page_of(document)
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") >= 4
    assert "<" not in re.sub(r"</?code>", "", str(type_of({"enum": [evil]})))


def test_for_whom_it_is_readable(page: Elements) -> None:
    """In a language, with one heading of the first order, a way past the list, and two schemes of colours."""
    assert ("html", {"lang": "en"}) in page.elements
    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert ("a", {"class": "skip", "href": "#list"}) in page.elements
    styles = files("streams.web").joinpath("docs/docs.css").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in styles
    assert "width=device-width" in PAGE
