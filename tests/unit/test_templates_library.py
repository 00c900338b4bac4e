"""All templates of a worker: which source counts, what is refused, and how the folder is followed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from streams.policies.rendering import Chosen, RenderFailed, TypeTemplate
from streams.templates.collector import TemplatesCollector
from streams.templates.documents import TemplatesError, compiled, read_document
from streams.templates.folder import TemplateFolder
from streams.templates.library import Refused, Source, TemplateLibrary
from streams.templates.prerender import Prerender
from streams.types_file import NotificationTypes

TYPES = NotificationTypes.parse(
    {
        "defaults": {"title": "{{ type }}"},
        "types": {
            "order": {"title": "Order {{ n }}", "locale": "de", "prerender": True},
            "silent": {"background": True, "prerender": True},
        },
    },
    "types.toml",
)


def template(source: Source, title: str, type: str = "order") -> TypeTemplate:
    return compiled(read_document(type, {"version": title, "title": title}), source)


def label(library: TemplateLibrary, type: str = "order") -> str:
    chosen = library.choose(type, None, None)
    return chosen.label.rpartition(" of the ")[2] + " " + chosen.label.split()[1] if isinstance(chosen, Chosen) else "-"


def test_the_topic_wins_over_the_folder_and_the_folder_over_the_types_file() -> None:
    """What is removed lets the next one through."""
    library = TemplateLibrary(TYPES)
    assert label(library).startswith("types file ")
    library.put("folder", template("folder", "a"))
    assert label(library) == "folder a"
    library.put("topic", template("topic", "b"))
    assert label(library) == "topic b"
    library.put("folder", template("folder", "c"))
    assert label(library) == "topic b"
    assert library.counts() == {"topic": 1, "folder": 0}
    library.remove("topic", "order")
    assert label(library) == "folder c"
    library.remove("folder", "order")
    assert label(library).startswith("types file ")
    assert library.types_of("folder") == frozenset()


def test_a_refused_version_leaves_the_old_one() -> None:
    """And is counted, with its reason; a good one after it takes its place."""
    library = TemplateLibrary(TYPES)
    library.put("topic", template("topic", "a"))
    library.refuse("topic", "order", TemplatesError(["one", "two"]))
    assert label(library) == "topic a"
    assert [reason for found, reason in library.listed() if found.type == "order"] == ["one; two"]
    library.refuse("topic", "order", TemplatesError(["one", "two"]))  # the topic is read anew
    assert library.refused == {"topic": 1}
    library.put("topic", template("topic", "b"))
    assert label(library) == "topic b"
    assert library.why_refused("order") is None
    samples = {
        (sample.name, sample.labels["source"]): sample.value
        for family in TemplatesCollector(library).collect()
        for sample in family.samples
    }
    assert samples["ringonce_templates", "topic"] == 1
    assert samples["ringonce_templates_refused_total", "topic"] == 1


def test_a_type_that_is_known_refused_only_has_no_text() -> None:
    """Nobody approved the one of the types file for it: its notifications are dead letters, and can be replayed."""
    library = TemplateLibrary(TYPES)
    library.refuse("topic", "order", TemplatesError(["one"]))
    library.put("folder", template("folder", "a"))
    assert library.choose("order", "de", "apns") == RenderFailed("order: the template of the topic was refused: one")
    assert isinstance(library.of("order"), Refused)
    library.refuse("topic", "order", TemplatesError(["two"]))
    assert library.why_refused("order") == "two"
    library.put("topic", template("topic", "b"))
    assert label(library) == "topic b"


def test_every_type_has_a_template() -> None:
    """One that no file names has that of the defaults; what is known of it is bounded."""
    library = TemplateLibrary(TYPES)
    assert label(library, "any").startswith("types file ")
    assert library.knows("order") and library.knows("any")
    assert not TemplateLibrary(NotificationTypes.parse({"allow_unknown": False}, "t")).knows("any")
    assert [found.type for found, _ in library.listed()] == ["order", "silent"]


def test_an_event_is_rendered_when_it_is_taken_if_its_type_says_so() -> None:
    """In the type's locale; what is missing is refused by name, and what the event brings stays."""
    library = TemplateLibrary(TYPES)
    german = {"locales": {"de": {"body": "{{ '1.5' | number }}"}}, "title": "{{ n }}"}
    library.put("topic", compiled(read_document("order", german), "topic"))
    prerender = Prerender(TYPES, library)
    assert prerender.is_needed
    event = {"user_id": "u", "type": "order", "data": {"n": "7"}, "title": None, "body": None}
    prerender(event)
    assert (event["title"], event["body"]) == ("7", "1,5")
    given = {"user_id": "u", "type": "order", "data": {}, "title": "T", "body": "B"}
    prerender(given)
    assert (given["title"], given["body"]) == ("T", "B")
    other = {"user_id": "u", "type": "any", "data": {}}
    prerender(other)
    assert "title" not in other
    silent = {"user_id": "u", "type": "silent", "data": {}}
    prerender(silent)
    assert (silent["title"], silent["body"]) == ("", "")
    with pytest.raises(ValueError, match="'n' is missing"):
        prerender({"user_id": "u", "type": "order", "data": {}})
    assert not Prerender(NotificationTypes.load(), library).is_needed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "order.toml").write_text("version = '1'\ntitle = 'one'", encoding="utf-8")
    (tmp_path / ".hidden.toml").write_text("broken", encoding="utf-8")
    (tmp_path / "README.md").write_text("not a template", encoding="utf-8")
    return tmp_path


def test_a_folder_is_followed(folder: Path) -> None:
    """A change, a mistake, its mending, a removal; a file is read when it has come to rest."""
    library = TemplateLibrary(TYPES)
    files = TemplateFolder(folder, library)
    files.load(strict=True)
    assert label(library) == "folder 1"

    async def scenario() -> None:
        (folder / "order.toml").write_text("version = '2'\ntitle = 'two'", encoding="utf-8")
        await files.look()
        assert label(library) == "folder 1", "it may still be being written"
        await files.look()
        assert label(library) == "folder 2"
        (folder / "order.toml").write_text("version = '3'\ntitle = '{{ three'", encoding="utf-8")
        (folder / "new.toml").write_text("version = '1'\ntitle = 'new'", encoding="utf-8")
        for _ in range(3):
            await files.look()
        assert (label(library), label(library, "new")) == ("folder 2", "folder 1")
        assert library.refused == {"folder": 1}, "it is said once"
        assert "order.toml: any locale, any provider, title: " in (library.why_refused("order") or "")
        (folder / "order.toml").write_text("version = '4'\ntitle = 'four'", encoding="utf-8")
        for _ in range(2):
            await files.look()
        assert label(library) == "folder 4"
        (folder / "order.toml").unlink()
        for _ in range(2):
            await files.look()
        assert label(library).startswith("types file ")

    asyncio.run(scenario())


def test_a_folder_that_cannot_be_read_for_a_while_changes_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A volume that is being mounted anew must not take the templates away."""
    library = TemplateLibrary(TYPES)
    files = TemplateFolder(folder, library)
    files.load(strict=True)

    async def look() -> None:
        for _ in range(3):
            await files.look()
        assert label(library) == "folder 1"

    elsewhere = folder.with_name("elsewhere")
    folder.rename(elsewhere)
    asyncio.run(look())
    elsewhere.rename(folder)
    asyncio.run(look())
    assert len([record for record in caplog.records if "cannot be read" in record.getMessage()]) == 1


def test_a_folder_with_mistakes_ends_the_start_and_not_a_start_anew(folder: Path) -> None:
    """Each mistake is a line with its file; started anew, the worker goes on without what it cannot use."""
    (folder / "bad.toml").write_text("title = '{{ x'\nbody = '{{ y | z }}'", encoding="utf-8")
    (folder / "worse.toml").write_text("title = ", encoding="utf-8")
    (folder / "binary.toml").write_bytes(b"\xff\xfe")
    library = TemplateLibrary(TYPES)
    with pytest.raises(TemplatesError) as caught:
        TemplateFolder(folder, library).load(strict=True)
    assert [line.removeprefix(f"{folder}: ").split(":")[0] for line in caught.value.lines] == [
        "bad.toml",
        "bad.toml",
        "binary.toml",
        "worse.toml",
    ]
    TemplateFolder(folder, library).load(strict=False)
    assert label(library) == "folder 1"
    assert isinstance(library.of("bad"), Refused)
    with pytest.raises(TemplatesError, match="cannot be read: No such file"):
        TemplateFolder(folder / "none", library).load(strict=False)
