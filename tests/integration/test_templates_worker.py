"""Templates as whoever runs two workers meets them: the command line, the views, and swapping while they work."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from streams.publish.messages import Message
from tests.integration.system import SECONDS_MAX, System, system, web_url
from tests.integration.test_web import assert_problem, get, until_status

ROOT = Path(__file__).parents[2]
LOOK_SECONDS = 0.05
TYPES = """
[types.order_ready]
title = "Order {{ order }} is ready"
prerender = true

[types.digest]
title = "Your digest"
"""
ORDER = """
version = "1"
title = "Order {{ order }} is ready"
body = "Hi {{ name }}"
[locales.de]
title = "Bestellung {{ order }} ist fertig"
"""


@dataclass
class Running:
    """Two workers with a folder of templates between them."""

    found: System
    urls: tuple[str, str]
    folder: Path

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `ringonce`."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
        return subprocess.run(
            [sys.executable, "-m", "streams", *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**clean, **self.found.environment, "COLUMNS": "200"},
            timeout=SECONDS_MAX,
            check=False,
        )

    def until(self, check: Callable[[dict[str, Any]], bool], type: str) -> None:
        """Wait until this is so of a type's template on both workers. Raises TimeoutError."""
        give_up_at = time.monotonic() + SECONDS_MAX
        while not all(check(get(f"{url}/templates/{type}").json()) for url in self.urls):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{[get(f'{url}/templates/{type}').json() for url in self.urls]}")
            time.sleep(LOOK_SECONDS)

    def post(self, path: str, body: Any) -> httpx.Response:
        with httpx.Client(timeout=SECONDS_MAX, trust_env=False) as client:
            return client.post(f"{self.urls[0]}{path}", content=json.dumps(body))


@pytest.fixture(scope="module")
def running(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Started with the types file above, an order template on the topic, and an empty folder."""
    directory = tmp_path_factory.mktemp("templates")
    folder = directory / "folder"
    folder.mkdir()
    types = directory / "types.toml"
    types.write_text(TYPES, encoding="utf-8")
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", directory) as found:
        found.environment |= {"RINGONCE_TYPES_FILE": str(types), "RINGONCE_TEMPLATES_DIR": str(folder)}
        running = Running(found, ("", ""), folder)
        file = directory / "order_ready.toml"
        file.write_text(ORDER, encoding="utf-8")
        published = running.command("template", "publish", str(file), "--by", "test")
        assert published.returncode == 0, published.stderr
        assert published.stdout == f"order_ready: version 1 published to {found.topics.templates}\n"
        first, second = found.worker("one"), found.worker("two")
        running.urls = web_url(first), web_url(second)
        for url in running.urls:
            until_status(f"{url}/health/ready", 200)
        yield running


def test_a_worker_that_is_ready_has_what_was_published(running: Running) -> None:
    """All of them, with what they say; before the first event could need one."""
    for url in running.urls:
        document = get(f"{url}/templates/order_ready").json()
        assert (document["source"], document["version"], document["refused"]) == ("topic", "1", None)
        assert document["uses"] == ["name", "order"]
        assert document["variants"][1] == {
            "locale": "de",
            "provider": None,
            "title": "Bestellung {{ order }} ist fertig",
        }
        listed = {each["type"]: each for each in get(f"{url}/templates").json()["templates"]}
        assert (listed["order_ready"]["source"], listed["digest"]["source"]) == ("topic", "types file")
        assert 'ringonce_templates{source="topic"} 1.0' in get(f"{url}/metrics").text


def test_a_preview_is_what_a_reader_would_see(running: Running) -> None:
    """With the template that counts, or with one that nobody has published."""
    asked = {"type": "order_ready", "locale": "de-AT", "data": {"order": "7"}, "profile": {"name": "Eva"}}
    answer = running.post("/templates/render", asked)
    assert answer.status_code == 200
    assert answer.json() == {
        "title": "Bestellung 7 ist fertig",
        "body": "Hi Eva",
        "image": None,
        "link": None,
        "data": {},
        "version": "1",
        "source": "topic",
    }
    draft = {**asked, "template": {"title": "{{ name | upper }}", "version": "draft"}}
    assert running.post("/templates/render", draft).json()["title"] == "EVA"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"type": "order_ready"}, 422, "title: 'order' is missing"),
        ({"type": "order_ready", "template": {"title": "{{ x | y }}"}}, 422, "there is no filter 'y'"),
        ({"type": "order_ready", "template": {"titel": "x"}}, 422, "titel: no such key"),
        ({"type": "order_ready", "data": {"order": 7}}, 400, "data.order: must be a text, is 7"),
        ({"type": "order_ready", "locale": "ed"}, 400, "there is no language 'ed'"),
        ({"type": "a b"}, 400, "type: must be 1 to 64 of A-Z a-z 0-9 _ - ., is 'a b'"),
        ({}, 400, "type: must be given"),
        ([], 400, "the body must be a JSON object"),
    ],
)
def test_a_preview_that_shows_nothing_says_why(running: Running, body: Any, status: int, words: str) -> None:
    """The same reason as in a dead letter, as a problem document."""
    answer = running.post("/templates/render", body)
    assert answer.status_code == status
    assert_problem(answer.status_code, dict(answer.headers), answer.content)
    assert words in answer.json()["detail"]


def test_an_event_that_lacks_a_value_is_refused_when_it_is_taken(running: Running) -> None:
    """`prerender`: 400 over HTTP, exit code 2 from the shell, naming the value; a whole one carries its text."""
    event = {"notification_id": "p1", "user_id": "user-000001", "type": "order_ready", "data": {"order": "7"}}
    answer = running.post("/notifications", [event])
    assert answer.status_code == 400
    assert "[0] order_ready, template 1 of the topic, any locale, any provider, body: 'name' is missing" in answer.text
    shell = running.command("publish", "--user", "user-000001", "--type", "order_ready", "--data", "order=7")
    assert shell.returncode == 2
    assert "body: 'name' is missing" in shell.stderr
    whole = {**event, "data": {"order": "7", "name": "Eva"}}
    assert running.post("/notifications", whole).status_code == 202
    shell = running.command(
        *("publish", "--user", "user-000002", "--type", "order_ready", "--data", "order=8", "--data", "name=Al"),
    )
    assert shell.returncode == 0, shell.stderr
    running.found.ended(2)


def test_a_new_version_is_taken_up_and_a_wrong_one_is_not(running: Running) -> None:
    """On both workers, without a restart; what is refused is said, counted, and a dead letter."""
    second = running.folder.parent / "order_ready.toml"
    second.write_text(ORDER.replace('"1"', '"2"'), encoding="utf-8")
    assert running.command("template", "publish", str(second)).returncode == 0
    running.until(lambda document: document["version"] == "2", "order_ready")
    second.write_text("title = '{{ x'", encoding="utf-8")
    refused = running.command("template", "publish", str(second))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("order_ready.toml: any locale, any provider, title: unexpected end of template")
    topic = running.found.topics.templates
    asyncio.run(running.found.produce_to(topic, [Message(b"order_ready", b"\xc3\x01 no such schema")]))
    running.until(lambda document: document["refused"] is not None and document["version"] == "2", "order_ready")
    for url in running.urls:
        assert 'ringonce_templates_refused_total{source="topic"} 1.0' in get(f"{url}/metrics").text
    letters = running.command("dead-letters", "list", "--json")
    [letter] = json.loads(letters.stdout)["dead_letters"]
    assert letter["code"] == "UNKNOWN_SCHEMA"


def test_the_folder_is_followed(running: Running) -> None:
    """A file that appears is taken up by both, one that goes away lets the types file speak again."""
    file = running.folder / "digest.toml"
    file.write_text("version = 'f1'\ntitle = 'From the folder'", encoding="utf-8")
    running.until(lambda document: document["version"] == "f1", "digest")
    listed = running.command("template", "list", "--json")
    sources = {each["type"]: each["source"] for each in json.loads(listed.stdout)["templates"]}
    assert sources == {"digest": "folder", "order_ready": "topic"}
    file.unlink()
    running.until(lambda document: document["source"] == "types file", "digest")


def test_the_command_line_shows_what_a_reader_would_see(running: Running, tmp_path: Path) -> None:
    """From the topic where it is asked for; and a check has a line for each mistake."""
    profile = tmp_path / "eva.json"
    profile.write_text('{"name": "Eva"}', encoding="utf-8")
    shown = running.command(
        *("template", "render", "order_ready", "--topic", "--locale", "de", "--data", "order=7"),
        *("--user-profile", str(profile)),
    )
    assert (shown.returncode, shown.stdout) == (0, "title: Bestellung 7 ist fertig\nbody: Hi Eva\n")
    missing = running.command("template", "render", "order_ready", "--topic")
    assert missing.returncode == 1
    assert "title: 'order' is missing: neither the event nor the profile has it" in missing.stderr
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder, text in ((good, ORDER), (bad, "title = '{{ x | y }}'\nbody = '{{'")):
        folder.mkdir()
        (folder / "order_ready.toml").write_text(text, encoding="utf-8")
    checked = running.command("template", "check", str(good))
    assert (checked.returncode, checked.stderr) == (0, "order_ready: 2 variants, uses name, order\n")
    checked = running.command("template", "check", str(bad))
    assert (checked.returncode, len(checked.stderr.splitlines())) == (1, 2)
    removed = running.command("template", "publish", str(good), "--remove", "digest")
    assert removed.returncode == 0, removed.stderr
    assert f"digest: removed from {running.found.topics.templates}" in removed.stdout


def test_a_folder_with_a_mistake_ends_the_start(running: Running, tmp_path: Path) -> None:
    """Exit code 2 and one line for each, before anything is sent by it."""
    (tmp_path / "digest.toml").write_text("title = '{{ x | y }}'", encoding="utf-8")
    before = running.found.environment["RINGONCE_TEMPLATES_DIR"]
    running.found.environment["RINGONCE_TEMPLATES_DIR"] = str(tmp_path)
    try:
        ended = running.command("worker", "--wait-seconds", "1")
    finally:
        running.found.environment["RINGONCE_TEMPLATES_DIR"] = before
    line = f"{tmp_path}: digest.toml: any locale, any provider, title: there is no filter 'y'\n"
    assert (ended.returncode, ended.stderr) == (2, line)
