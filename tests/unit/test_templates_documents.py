"""Templates as people write them and as the topic has them: what is read, and every mistake in one go."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from connectors.outcome import ProviderName
from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.policies.rendering import RenderFailed, Text, Values, VariantKey, render
from streams.policies.rendering.compiling import SANDBOX
from streams.policies.rendering.sandbox import INTERNAL
from streams.templates.checking import check
from streams.templates.documents import (
    CHARACTERS_MAX,
    DATA_MAX,
    VARIANTS_MAX,
    TemplatesError,
    compiled,
    document_of,
    read_document,
    record_of,
)
from streams.templates.preview import Preview
from streams.templates.records import check_record, compiled_record, read_record
from streams.types_file import NotificationTypes

FILE = """
title = "Order {{ order }}"
body = "Hi {{ name | default('there') }}"

[webpush]
link = "https://shop.example/{{ order }}"

[data]
screen = "order"

[locales.de]
title = "Bestellung {{ order }}"

[locales.de.apns]
body = "Hallo"
[locales.de.apns.data]
screen = "bestellung"
"""
CODEC = Codec()
ANY = "any locale, any provider"


def values(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def mistakes(text: str) -> list[str]:
    with pytest.raises(TemplatesError) as caught:
        compiled(read_document("t", values(text)), "folder")
    return list(caught.value.lines)


def test_a_file_has_a_variant_for_each_table() -> None:
    """Locales and providers, each alone and together; what a table does not say it leaves open."""
    template = compiled(read_document("t", values(FILE)), "folder")
    assert set(template.variants) == {
        VariantKey(),
        VariantKey(None, "webpush"),
        VariantKey("de"),
        VariantKey("de", "apns"),
    }
    assert template.variables == {"order", "name"}
    shown = Values("u", "t", {"order": "7"})
    assert render(template.choose("de-AT", "apns"), None, None, shown) == Text(
        "Bestellung 7", "Hallo", data={"screen": "bestellung"}
    )
    assert render(template.choose("en", "webpush"), None, None, shown) == Text(
        "Order 7", "Hi there", None, "https://shop.example/7", {"screen": "order"}
    )


def test_each_provider_has_its_table() -> None:
    """Those that there are, and what is asked of one is asked of each."""
    for provider in ProviderName:
        template = compiled(read_document("t", {provider.value: {"title": "T"}}), "folder")
        assert set(template.variants) == {VariantKey(None, provider.value)}
        assert check(read_document("t", {provider.value: {"title": "T"}}), TYPES, "en").mistakes == ()
        assert Preview.model_validate({"type": "t", "provider": provider.value}).provider == provider


def test_a_version_that_is_not_named_changes_with_what_is_said() -> None:
    """The same words are the same version on each machine."""
    one, same = (read_document("t", values(FILE)).version for _ in range(2))
    other = read_document("t", values(FILE.replace("Hallo", "Servus"))).version
    assert one == same != other
    assert read_document("t", {"title": "T", "version": "7"}).version == "7"


def test_a_record_says_the_same_as_the_file() -> None:
    """What is published is what was checked."""
    document = read_document("t", values(FILE))
    value = CODEC.encode("Template", dict(record_of(document, 1, "me")), "templates")
    read = read_record(b"t", value, CODEC)
    assert read is not None
    assert compiled_record(read).choose("de", "apns").label == f"template {document.version} of the topic"
    assert read.variants == document.variants
    assert document_of(record_of(document, 1, None)).version == document.version
    check_record(b"t", value, CODEC)
    assert read_record(b"t", None, CODEC) is None


def test_a_record_that_is_none_says_why() -> None:
    """Key, encoding, every template in it."""
    good = CODEC.encode("Template", dict(record_of(read_document("t", {"title": "T"}), 1, None)))
    bad = CODEC.encode("Template", dict(record_of(read_document("t", {"title": "{{", "body": "{% x %}"}), 1, None)))
    for key, value, code in (
        (None, good, "NO_KEY"),
        (b"a b", good, "INVALID_FIELD"),
        (b"\xff", None, "INVALID_FIELD"),
        (b"other", good, "KEY_MISMATCH"),
        (b"t", b"\x01\x02", "BAD_MAGIC"),
        (b"t", good[:-1], "TRUNCATED"),
        (b"t", bad, "INVALID_FIELD"),
    ):
        with pytest.raises(PoisonError) as caught:
            check_record(key, value, CODEC)
        assert caught.value.code == code
    assert caught.value.reason.count(ANY) == 2


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("titel = 'x'", ["titel: no such key"]),
        ("title = 1\nbody = 2", ["title: must be a text, is 1", "body: must be a text, is 2"]),
        ("[locales.de]\ntitel = 'x'", ["locales.de.titel: no such key"]),
        ("[locales.de.gcm]\ntitle = 'x'", ["locales.de.gcm: no such key"]),
        ("", [f"has 0 variants, must have 1 to {VARIANTS_MAX}"]),
        ("title = '{{ a'", [f"{ANY}, title: unexpected end of template, expected 'end of print statement'."]),
        (
            "title = '''x\n{{ a | shout }}'''\nbody = '{% include \"x\" %}'",
            [
                f"{ANY}, title: there is no filter 'shout' (line 2)",
                f"{ANY}, body: {{% include %}}: the template of a message stands alone",
            ],
        ),
        ("[locales.ed]\ntitle = 'x'", ["there is no language 'ed' (in 'ed')"]),
        ("[locales.de]\ntitle = 'x'\n[locales.DE]\ntitle = 'y'", ["de, any provider: is there twice"]),
        ("version = 'a b'\ntitle = 'x'", ["version: must be 1 to 64 visible characters of ASCII, is 'a b'"]),
        ("[data]\naps = 'x'", [f"{ANY}, data.aps: this name is taken by the push itself or by Firebase"]),
        ("[data]\n'google.x' = 'x'", [f"{ANY}, data.google.x: this name is taken by the push itself or by Firebase"]),
        ("[data]\n'a b' = 'x'", [f"{ANY}, data: a name must be 1 to 100 visible characters of ASCII, is 'a b'"]),
    ],
)
def test_a_mistake_is_one_line(text: str, lines: list[str]) -> None:
    """All of them at once, each with its variant and field."""
    assert mistakes(text) == lines


def test_a_template_has_its_size() -> None:
    """So that what one record can cost is known."""
    many = "\n".join(f"[locales.'de-x{number}']\ntitle = 'x'" for number in range(VARIANTS_MAX + 1))
    assert mistakes(many) == [f"has {VARIANTS_MAX + 1} variants, must have 1 to {VARIANTS_MAX}"]
    [line] = mistakes("\n".join(f"[locales.'de-x{number}']\ntitle = '{'x' * 8_000}'" for number in range(9)))
    assert line == f"has 72,000 characters, at most {CHARACTERS_MAX:,} are allowed"
    [line] = mistakes("[data]\n" + "\n".join(f"k{number} = 'x'" for number in range(DATA_MAX + 1)))
    assert line == f"{ANY}, data: has {DATA_MAX + 1} values, at most {DATA_MAX} are allowed"
    assert mistakes(f"title = '{'{{ x }}' * 1_200}'") == [
        f"{ANY}, title: has 8,400 characters, at most 8,192 are allowed"
    ]


TYPES = NotificationTypes.parse(
    {"allow_unknown": False, "types": {"t": {}, "silent": {"background": True}}}, "types.toml"
)


@pytest.mark.parametrize(
    ("type", "text", "lines"),
    [
        ("t", FILE, []),
        ("other", "title = 'x'", ["the types file has no such type"]),
        ("silent", "title = 'x'", ["the types file says background = true: its pushes show no title and no body"]),
        ("silent", "[data]\nscreen = 'x'", []),
        (
            "t",
            "image = 'http://x'\ntitle = 'x'",
            [f"with sample values: {ANY}, image: 'http://x' must be an https:// URL"],
        ),
        ("t", "[data]\nscreen = 'x'", ["with sample values: neither title nor body"]),
        (
            "t",
            f"title = 'x'\nbody = '{'y' * 4_000}'",
            [
                f"{ANY}: with sample values it is too long for {provider}, with all data"
                for provider in ("apns", "fcm", "webpush")
            ],
        ),
        ("t", "title = '{{ a.b }}'", [f"with sample values: {ANY}, title: 'b' is missing in a text"]),
        ("t", "title = '{{ a.b }}'\n[sample_profile]\na = {b = 'c'}", []),
        ("t", 'title = \'{{ at | date }} {{ n | plural(one="a", other="b") }} {{ p | money("EUR") }}\'', []),
        ("t", "title = '{{ n | date }}'\n[sample]\nn = 'x'", [f"with sample values: {ANY}, title: 'x' is no instant"]),
        (
            "t",
            "title = 'x'\n[locales.pl]\nbody = '''{{ n | plural(one='a', other='b') }}'''",
            ["pl, any provider: pl has the plural forms many, few, which "],
        ),
    ],
)
def test_a_check_finds_what_only_rendering_shows(type: str, text: str, lines: list[str]) -> None:
    """With sample values, those of the file or some that suit the filters, for each provider."""
    found = check(read_document(type, values(text)), TYPES, "en").mistakes
    assert len(found) == len(lines), found
    for line, start in zip(found, lines, strict=True):
        assert line.startswith(start)


DOCS = (Path(__file__).parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")


def test_the_example_of_the_documentation_is_right() -> None:
    """It passes the check; and every filter that there is stands in the page."""
    [example] = re.findall(r"```toml\n# order_ready.toml\n(.*?)```", DOCS, re.DOTALL)
    checked = check(read_document("order_ready", values(example)), NotificationTypes.load(), "en")
    assert (checked.mistakes, checked.uses, checked.variants) == ((), ("name", "order"), 4)
    named = set(re.findall(r"`([a-z]+)`", DOCS)) | set(re.findall(r"\| ([a-z]+)", DOCS.replace("\\|", "|")))
    assert set(SANDBOX.filters) - named == {name for name in SANDBOX.filters if name.startswith(INTERNAL)} | {"d"}


def test_rendering_says_which_variant_failed() -> None:
    """Type, version, locale, provider, field."""
    template = compiled(
        read_document("t", {"version": "7", "locales": {"de": {"apns": {"title": "{{ x }}"}}}}), "folder"
    )
    failed = render(template.choose("de", "apns"), None, None, Values("u", "t", {}))
    assert failed == RenderFailed(
        "t, template 7 of the folder, de, apns, title: 'x' is missing: neither the event nor the profile has it"
    )
