"""Dates, amounts, numbers, plurals and lists in every locale that CLDR has."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from babel.localedata import locale_identifiers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.policies.rendering import (
    RenderFailed,
    Text,
    TypeTemplate,
    Values,
    Variant,
    VariantKey,
    compile_source,
    locale_chain,
    render,
)
from streams.time_zones import zone_named, zone_names

SOURCE = (
    "{{ at | date('full') }}|{{ at | time('full') }}|{{ at | datetime }}|{{ n | number }}|{{ n | percent }}|"
    "{{ n | money('EUR') }}|{{ n | plural(one='o', other='p') }}|{{ names | enumerated }}"
)
TEMPLATE = TypeTemplate("t", "1", "test", {VariantKey(): Variant(title=compile_source(SOURCE))})
LOCALES = sorted(locale_identifiers())
FIELDS = SOURCE.count("|")


def written(locale: str, data: dict[str, str], zone: ZoneInfo | None = None) -> Text | RenderFailed:
    return render(TEMPLATE.choose(locale, None), None, None, Values("u", "t", data, locale, zone=zone or UTC))


@pytest.mark.parametrize("first", sorted({locale[0] for locale in LOCALES}))
def test_no_locale_of_cldr_fails(first: str) -> None:
    """Each of them writes all of them, whatever its calendar, digits and plural forms."""
    data = {"at": "2026-12-24T18:00:00+01:00", "n": "1234.5", "names": "Anna, Ben, Carl"}
    for locale in LOCALES:
        if locale.startswith(first):
            text = written(locale, data)
            assert isinstance(text, Text), (locale, text)
            assert all(text.title.split("|")), (locale, text)


tags = st.one_of(
    st.sampled_from(LOCALES),
    st.from_regex(r"\A[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8}){0,3}\Z"),
    st.text(max_size=40),
)


@settings(deadline=None)
@example("cnr")
@example("cnr-ME")
@given(tags)
def test_a_chain_goes_from_what_is_asked_for_to_its_language(tag: str) -> None:
    """Each tag of it is wider than the one before, and none is there twice; what is no tag has none."""
    chain = locale_chain(tag)
    assert len(set(chain)) == len(chain)
    if chain:
        assert chain[0].lower() == tag.replace("_", "-").lower()
        assert chain[-1] == chain[0].split("-")[0]
        assert all(each.startswith(chain[-1]) for each in chain)


@settings(deadline=None)
@example(datetime(2026, 1, 1, tzinfo=UTC), "10000000000000000000000000", "UTC", "de", False)
@given(
    st.datetimes(timezones=st.just(UTC)),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.sampled_from(sorted(zone_names())),
    st.sampled_from(LOCALES),
    st.booleans(),
)
def test_any_instant_number_and_zone_is_written_or_refused(
    at: datetime, number: object, zone: str, locale: str, as_milliseconds: bool
) -> None:
    """Never an exception: where a calendar or a number has its end, there is a reason."""
    instant = str(int(at.timestamp() * 1000)) if as_milliseconds else at.isoformat()
    found = written(locale, {"at": instant, "n": str(number), "names": "a"}, zone_named(zone))
    if isinstance(found, RenderFailed):
        assert "is no number" in found.reason or "no calendar" in found.reason, found
