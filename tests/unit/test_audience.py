"""The language of filters: what is true for whom, and what is said of a mistake."""

from __future__ import annotations

import pytest

from streams.policies.audience import CHARACTERS_MAX, Fields, FilterError, read_filter

ADA: Fields = {
    "user_id": "ada",
    "language": "de",
    "locale": "de-AT",
    "provider": frozenset(("apns", "fcm")),
    "devices": 2,
    "bucket": 1,
    "profile.plan": "pro",
    "profile.age": "21",
    "profile.score": "-1.5",
    "profile.since": "2024-05-01",
    "profile.trial": "false",
    "profile.quote": "it's",
}


@pytest.mark.parametrize(
    "text",
    [
        "language = 'de'",
        'language = "de"',
        "language != 'fr'",
        "NOT language = 'fr' AND (bucket = 2 OR EXISTS language)",
        "provider = 'apns' and provider = 'fcm'",
        "provider != 'webpush'",
        "provider in ('webpush', 'fcm')",
        "provider not in ('webpush')",
        "devices = 2 and devices >= 2 and devices <= 2 and devices < 3 and devices > 1",
        "profile.age = 21 and profile.age > 20.5 and profile.age < 22",
        "profile.age in (20, 21)",
        "profile.age = '21'",
        "profile.score < 0 and profile.score = -1.5",
        "profile.since >= '2024-01-01' and profile.since < '2025'",
        "profile.trial = false and profile.trial != true",
        "profile.quote = 'it\\'s' and profile.quote = \"it's\"",
        "exists profile.plan and not exists profile.country",
        "profile.country != 'AT'",
        "profile.country not in ('AT', 'CH')",
        "not (profile.country = 'AT' or language = 'fr')",
        "language = 'fr' or language = 'de' and bucket = 1",
        "bucket=1",
        "  \n language\t=\n'de'  ",
        "not not language = 'de'",
    ],
)
def test_true_for_ada(text: str) -> None:
    """Each of these."""
    assert read_filter(text).matches(ADA)
    assert not read_filter(f"not ({text})").matches(ADA)


@pytest.mark.parametrize(
    "text",
    [
        "language = 'DE'",
        "profile.country = 'AT'",
        "profile.country < 'ZZ'",
        "profile.country > ''",
        "profile.country in ('AT', 1, true)",
        "profile.plan > 1",
        "profile.plan < 1",
        "profile.age < '3' and profile.age = 3",
        "devices = '2'",
        "devices = true",
        "bucket = true",
        "provider < 'b'",
        "provider = 1",
        "language = 'de' and language = 'fr' or language = 'it'",
        "(language = 'de' or bucket = 1) and language = 'fr'",
    ],
)
def test_not_true_for_ada(text: str) -> None:
    """None of these; 1 is no truth, and what is not there is neither less nor greater."""
    assert not read_filter(text).matches(ADA)


def test_a_filter_says_which_fields_it_asks_for() -> None:
    """So that only those are read."""
    found = read_filter("language = 'de' or exists profile.plan and not provider in ('apns')")
    assert found.fields == {"language", "profile.plan", "provider"}


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("", 1, "expected a field, found the end"),
        ("   ", 1, "expected a field, found the end"),
        ("language", 9, "expected `=`"),
        ("language = ", 11, "a text in quotes"),
        ("language = de", 12, "'de'"),
        ("Language = 'de'", 1, "did you mean language?"),
        ("langage = 'de'", 1, "did you mean language?"),
        ("country = 'AT'", 1, "profile.NAME"),
        ("profile. = 'AT'", 1, "there is no field"),
        ("(language = 'de'", 17, "expected `)`"),
        ("language = 'de')", 16, "expected `and`, `or` or the end"),
        ("language = 'de' language = 'fr'", 17, "expected `and`, `or` or the end"),
        ("language = 'de", 12, "no closing '"),
        ('language = "de', 12, 'no closing "'),
        ("language == 'de'", 11, "a text in quotes"),
        ("language # 'de'", 10, "'#' cannot stand here"),
        ("language in ()", 14, "a text in quotes"),
        ("language in 'de'", 13, "expected `(`"),
        ("language in ('de' 'fr')", 19, "expected `,` or `)`"),
        ("language not 'de'", 14, "expected `in`"),
        ("exists 'x'", 8, "a field"),
        ("exists and", 8, "a field"),
        ("bucket < true", 10, "no order"),
        ("bucket = 1x", 10, "cannot stand here"),
        ("bucket = --1", 10, "cannot stand here"),
        ("and", 1, "a field"),
        ("__import__('os')", 1, "there is no field"),
        ("(" * 40 + "bucket = 1" + ")" * 40, 34, "levels"),
        ("not " * 40 + "bucket = 1", 133, "levels"),
        ("x" * (CHARACTERS_MAX + 1), CHARACTERS_MAX + 1, "at most 4,000"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, at: int, said: str) -> None:
    """The character, counted from 1, and what was expected there."""
    with pytest.raises(FilterError) as raised:
        read_filter(text)
    assert raised.value.at == at
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"filter: at character {at}: ")
