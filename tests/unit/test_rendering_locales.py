"""Which variant a reader gets, and how dates, amounts, numbers, plurals and lists are written for him."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from streams.policies.rendering import (
    RenderFailed,
    Text,
    TypeTemplate,
    Values,
    Variant,
    VariantKey,
    compile_source,
    known_locale,
    locale_chain,
    missing_forms,
    render,
    sample_values,
)
from streams.policies.rendering.variants import CHOICES_CACHED

VIENNA, NEW_YORK = ZoneInfo("Europe/Vienna"), ZoneInfo("America/New_York")


def titles(**variants: str) -> TypeTemplate:
    """A template with a title for each variant: `de_AT__apns` is that of de-AT on APNs, `any` that of everybody."""
    found = {}
    for name, title in variants.items():
        locale, _, provider = name.partition("__")
        key = VariantKey(None if locale == "any" else locale.replace("_", "-"), provider or None)
        found[key] = Variant(title=compile_source(title), body=compile_source(""))
    return TypeTemplate("t", "1", "test", found, last=Variant(title=compile_source("types file")), locale="en")


def title(template: TypeTemplate, locale: str | None, provider: str | None = "apns", **data: str) -> str:
    text = render(template.choose(locale, provider), None, None, Values("u", "t", data, locale, zone=VIENNA))
    assert isinstance(text, Text), text
    return text.title


@pytest.mark.parametrize(
    ("locale", "provider", "expected"),
    [
        ("de-AT", "apns", "de-AT apns"),
        ("de-AT", "fcm", "de-AT"),
        ("de-at", "fcm", "de-AT"),
        ("de_AT", "fcm", "de-AT"),
        ("de-CH", "apns", "de apns"),
        ("de-CH", "fcm", "de"),
        ("de-Latn-AT-1996", "fcm", "de"),
        ("fr-CA", "webpush", "en webpush"),
        ("fr", "fcm", "any"),
        (None, "webpush", "en webpush"),
        (None, "apns", "any apns"),
        ("xx", "fcm", "any"),
        ("not a locale", "fcm", "any"),
        ("", "fcm", "any"),
        ("d" * 1_000, "fcm", "any"),
    ],
)
def test_the_closest_variant_is_chosen(locale: str | None, provider: str, expected: str) -> None:
    """The language first, then the provider; from the closest locale to the default one, to none."""
    template = titles(
        de_AT__apns="de-AT apns",
        de_AT="de-AT",
        de__apns="de apns",
        de="de",
        en__webpush="en webpush",
        any__apns="any apns",
        any="any",
    )
    assert title(template, locale, provider) == expected


def test_a_field_that_a_variant_leaves_open_is_taken_from_the_next_one() -> None:
    """Field by field, down to the types file; an empty text is one, and shows nothing."""
    template = TypeTemplate(
        "t",
        "1",
        "test",
        {
            VariantKey("de", "apns"): Variant(body=compile_source("B de apns"), data={"a": compile_source("1")}),
            VariantKey("de"): Variant(title=compile_source("")),
            VariantKey(): Variant(
                image=compile_source("https://x.example/a"),
                data={"a": compile_source("2"), "b": compile_source("3")},
            ),
        },
        last=Variant(title=compile_source("T file"), body=compile_source("B file")),
    )
    values = Values("u", "t", {})
    image = "https://x.example/a"
    assert render(template.choose("de", "apns"), None, None, values) == Text(
        "", "B de apns", image, None, {"a": "1", "b": "3"}
    )
    assert render(template.choose("fr", "apns"), None, None, values) == Text(
        "T file", "B file", image, None, {"a": "2", "b": "3"}
    )


def test_what_is_the_same_for_two_providers_is_the_same_object() -> None:
    """So that it is rendered once; and there are never more choices in memory than a bound."""
    template = titles(de="de", any__fcm="fcm")
    assert template.choose("de", "apns") is template.choose("de", "fcm")
    assert template.choose("fr", "apns") is not template.choose("fr", "fcm")
    for number in range(3 * CHOICES_CACHED):
        template.choose(f"de-x{number}", "apns")
    assert len(template._choices) <= CHOICES_CACHED
    assert title(template, "de") == "de"


@pytest.mark.parametrize(
    ("tag", "chain"),
    [
        ("de-AT", ("de-AT", "de")),
        ("DE_at", ("de-AT", "de")),
        ("zh-TW", ("zh-TW", "zh-Hant-TW", "zh-Hant", "zh")),
        ("zh-Hant-HK", ("zh-Hant-HK", "zh-Hant", "zh")),
        ("sr-Latn", ("sr-Latn", "sr")),
        ("sr-RS", ("sr-RS", "sr-Cyrl-RS", "sr-Cyrl", "sr")),
        ("de-CH-1996", ("de-CH-1996", "de-CH", "de")),
        ("xx-YY", ("xx-YY", "xx")),
        ("C", ()),
        ("de-", ()),
        ("../../etc", ()),
        ("de" * 20, ()),
    ],
)
def test_a_locale_is_looked_for_from_the_closest_to_the_widest(tag: str, chain: tuple[str, ...]) -> None:
    """As RFC 4647 has it, and with the script that a country implies."""
    assert locale_chain(tag) == chain


def test_a_locale_that_a_template_names_is_checked() -> None:
    """A typing error is not a language nobody speaks."""
    assert known_locale("de_at") == "de-AT"
    for tag, words in {"ed": "there is no language 'ed'", "german!": "is no locale"}.items():
        with pytest.raises(ValueError, match=words):
            known_locale(tag)


@pytest.mark.parametrize(
    ("locale", "source", "written"),
    [
        ("de-AT", "{{ at | date }}", "24.12.2026"),
        ("de-AT", "{{ at | date('long') }}", "24. Dezember 2026"),
        ("en-US", "{{ at | date('long') }}", "December 24, 2026"),
        ("en", "{{ at | date('EEE d MMM') }}", "Thu 24 Dec"),
        ("de", "{{ at | datetime(\"d.M. 'um' HH\") }}", "24.12. um 18"),
        ("de", "{{ at | time }}", "18:00"),
        ("en-US", "{{ at | time }}", "6:00\u202fPM"),
        ("de", "{{ at | datetime('short') }}", "24.12.26, 18:00"),
        ("de", "{{ ms | datetime('short') }}", "24.12.26, 18:00"),
        ("de", "{{ local | datetime('short') }}", "24.12.26, 18:00"),
        ("de", "{{ day | date }}", "24.12.2026"),
        ("de", "{{ late | date }}", "25.12.2026"),
        ("de", "{{ price | money('EUR') }}", "1.234,50\xa0€"),
        ("en-US", "{{ price | money('eur') }}", "€1,234.50"),
        ("ja", "{{ price | money('JPY') }}", "\uffe51,234"),
        ("de-CH", "{{ price | number }}", "1'234.5"),
        ("fr", "{{ price | number(2) }}", "1\u202f234,50"),
        ("en", "{{ '0.255' | percent }} {{ '0.255' | percent(1) }}", "26% 25.5%"),
        ("en", "{{ one | plural(one='one', other='some') }} {{ n | plural(one='one', other='some') }}", "one some"),
        ("pl", "{{ n | plural(one='plik', few='pliki', many='plików', other='pliku') }}", "pliki"),
        ("pl", "{{ '5' | plural(one='plik', few='pliki', many='plików', other='pliku') }}", "plików"),
        ("ar", "{{ n | plural(zero='0', one='1', two='2', few='few', many='many', other='other') }}", "few"),
        ("en", "{{ '0' | plural(zero='nothing', one='one', other='some') }}", "nothing"),
        ("en", "{{ names | enumerated }} / {{ names | enumerated('or') }}", "Anna, Ben, and Carl / Anna, Ben, or Carl"),
        ("de", "{{ names.split(', ') | enumerated }}", "Anna, Ben und Carl"),
        ("de", "{{ 3 | number }}{{ 2.5 | number }}", "32,5"),
    ],
)
def test_values_are_written_as_the_reader_has_them(locale: str, source: str, written: str) -> None:
    """In his language, his country's way and his zone."""
    values = {
        "at": "2026-12-24T17:00:00Z",
        "late": "2026-12-24T23:30:00Z",
        "ms": "1798131600000",
        "local": "2026-12-24T18:00:00",
        "day": "2026-12-24",
        "price": "1234.50",
        "one": "1",
        "n": "3",
        "names": "Anna, Ben, Carl",
    }
    assert title(titles(any=source), locale, **values) == written


def test_dates_are_of_the_language_of_the_text() -> None:
    """A French reader of an English text reads an English date; an Austrian one of a German text an Austrian one.

    A text that is for all locales has none of its own: there it is the reader's.
    """
    source = "{{ at | date('MMMM') }}"
    template = titles(en=source, de=source)
    assert title(template, "fr", at="2026-01-24") == "January"
    assert title(template, "de-AT", at="2026-01-24") == "Jänner"
    assert title(template, "de-CH", at="2026-01-24") == "Januar"
    assert title(titles(any=source), "fr", at="2026-01-24") == "janvier"
    assert title(titles(any=source), None, at="2026-01-24") == "January"
    assert title(titles(any=source), "tlh", at="2026-01-24") == "January"


def test_a_zone_is_the_readers() -> None:
    """The same instant, twice on different days."""
    chosen = titles(any="{{ at | datetime('short') }}").choose("de", None)
    found = [
        render(chosen, None, None, Values("u", "t", {"at": "2026-12-24T02:00:00Z"}, "de", zone=zone))
        for zone in (VIENNA, NEW_YORK)
    ]
    assert [each.title for each in found if isinstance(each, Text)] == ["24.12.26, 03:00", "23.12.26, 21:00"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ 'tomorrow' | date }}", "'tomorrow' is no instant: give ISO 8601 or milliseconds since the epoch"),
        ("{{ '2026-13-01' | date }}", "'2026-13-01' is no instant"),
        ("{{ '99999999999999999' | date }}", "is no instant"),
        ("{{ [] | date }}", "a list is no instant"),
        ("{{ '2026-12-24' | time }}", "'2026-12-24' is a day without a time"),
        ("{{ '9999-12-31T23:59:59Z' | datetime }}", "no calendar has"),
        ("{{ '2026-12-24' | date('gross') }}", "'gross' is none of short, medium, long, full, nor a pattern of CLDR"),
        ("{{ '2026-12-24' | date('dd QQQQQQQ') }}", "CLDR has no such pattern"),
        ("{{ '1,5' | number }}", "'1,5' is no number: give a decimal such as 1234.5"),
        ("{{ 'NaN' | number }}", "'NaN' is no number"),
        ("{{ '1e99' | number }}", "'1e99' is no number"),
        ("{{ true | number }}", "is no number"),
        ("{{ '1' | number(99) }}", "99 digits; give 0 to 12"),
        ("{{ '1' | money('EURO') }}", "there is no currency 'EURO': give ISO 4217, such as EUR"),
        ("{{ '1' | money }}", "TypeError"),
        ("{{ 'many' | plural(one='a', other='b') }}", "'many' is no number"),
        ("{{ '1' | plural(one='a') }}", "plural: the form `other` must be given"),
        ("{{ '1' | plural(on='a', other='b') }}", "plural: there is no form 'on'"),
        ("{{ 7 | enumerated }}", "is no list"),
        ("{{ 'a,b' | enumerated('but') }}", "CLDR has no such pattern"),
    ],
)
def test_what_cannot_be_written_says_why(source: str, words: str) -> None:
    """The value, and what it must be."""
    found = render(titles(any=source).choose("en", None), None, None, Values("u", "t", {}, "en", zone=VIENNA))
    assert isinstance(found, RenderFailed)
    assert words in found.reason


def test_samples_suit_the_filters_that_they_are_for() -> None:
    """What a template can be tried with, without an event."""
    template = compile_source("{{ at | date }} {{ n | plural(one='a', other='b') }} {{ p | money(c) }} {{ name }}")
    samples = sample_values([template])
    assert samples == {"at": "2026-12-24T18:00:00Z", "n": "3", "p": "1234.5", "c": "EUR", "name": "name"}


def test_plural_forms_that_a_language_has_are_missed() -> None:
    """Those of what a message counts; a form for millions is not asked for."""
    template = compile_source("{{ n | plural(one='a', other='b') }}")
    assert missing_forms(template, "pl") == ["many", "few"]
    assert missing_forms(template, "fr") == missing_forms(template, "en") == []
    assert missing_forms(template, "tlh") == []
