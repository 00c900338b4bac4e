"""Compiled writers write exactly what Babel writes, in every locale that CLDR has; what they leave open is Babel's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from babel import Locale
from babel.dates import format_date, format_datetime, format_time
from babel.localedata import locale_identifiers
from babel.numbers import format_currency, format_decimal, format_percent, list_currencies, parse_pattern
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.policies.rendering import Text, TypeTemplate, Values, Variant, VariantKey, compile_source, render
from streams.policies.rendering.styles import amounts, numbers, percentages, style_of
from streams.policies.rendering.writers import Instant, count_categories, instant_writer, number_writer
from streams.time_zones import zone_named, zone_names

LOCALES = sorted(locale_identifiers())
FIRST_LETTERS = sorted({locale[0] for locale in LOCALES})
INSTANTS: tuple[Instant, ...] = ("date", "time", "datetime")
BABEL: dict[Instant, Callable[[datetime, str, Locale], str]] = {
    "date": lambda at, width, locale: format_date(at.date(), width, locale),
    "time": lambda at, width, locale: format_time(at, width, at.tzinfo, locale),
    "datetime": lambda at, width, locale: format_datetime(at, width, at.tzinfo, locale),
}
WIDTHS = ("short", "medium", "long", "full")
VIENNA = ZoneInfo("Europe/Vienna")
# Around noon and midnight, the hour that there is twice, one and four digits of a year.
MOMENTS = [
    datetime(2026, 12, 24, 0, 5, 9, tzinfo=VIENNA),
    datetime(2026, 2, 1, 12, 0, tzinfo=VIENNA),
    datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=VIENNA),
    datetime(1, 7, 6, 23, 59, 59, tzinfo=UTC),
    *(datetime(2000 + month, month, month, month + 11, month, tzinfo=UTC) for month in range(1, 13)),
]
PATTERNS = (
    *("EEE d. MMM", "EEEE, dd.MM.yy", "EEEEE MMMMM", "LLLL yyyy", "cccc LLL", "y GGGG", "d 'de' MMMM", "100% d", ""),
    *("h a", "hh:mm aaaa", "K:mm aaaaa", "kk.mm", "H'h'mm", "ss ''", "E EEEEEE", "ccccc", "MM/L", "ddd"),
)
NUMBERS = (
    *("0", "-0", "1", "-1", "+7", "12", "999", "1000", "-1234.5", "123456", "1234567.895", "-98765432109.125"),
    *("0.5", "1.5", "2.5", "0.005", "0.015", "-0.004", "999999.9999", "0.125", "007.10", "999999999999.999999999"),
)
CURRENCIES = ("EUR", "USD", "JPY", "KWD", "CLF", "CHF", "INR", "BTN", "XXX", "UYW")


def of_letter(first: str) -> Iterator[Locale]:
    return (Locale.parse(name) for name in LOCALES if name.startswith(first))


@pytest.mark.parametrize("first", FIRST_LETTERS)
def test_dates_and_times_are_those_of_babel(first: str) -> None:
    """Each width of each locale, and patterns that templates name."""
    for locale in of_letter(first):
        for kind in INSTANTS:
            for pattern in (*WIDTHS, *PATTERNS):
                write = instant_writer(kind, pattern, locale)
                for at in MOMENTS if write else ():
                    assert write is not None
                    assert write(at) == BABEL[kind](at, pattern, locale), (locale, kind, pattern, at)


def test_what_most_messages_say_has_a_writer() -> None:
    """Else they are as slow as they were: no more than two locales are left to Babel, for their parts of the day."""
    without: set[str] = set()
    for name in LOCALES:
        locale = Locale.parse(name)
        wanted = [instant_writer("date", width, locale) for width in WIDTHS]
        wanted += [instant_writer(kind, width, locale) for kind in INSTANTS for width in ("short", "medium")]
        style = style_of(locale)
        found = [*wanted, numbers(style, None), percentages(style, None), amounts(style, "EUR")]
        if not all(found):
            without.add(name)
    assert len(without) <= 2, without


@pytest.mark.parametrize("first", FIRST_LETTERS)
def test_numbers_are_those_of_babel(first: str) -> None:
    """Each grouping, sign, separator and rounding of each locale."""
    for locale in of_letter(first):
        style = style_of(locale)
        for text in NUMBERS:
            number = Decimal(text)
            for digits in (None, "#,##0", "#,##0.00", "#,##0.0000"):
                write = numbers(style, digits)
                assert write is not None
                assert write(text) in (format_decimal(number, digits, locale), None), (locale, text, digits)
            for pattern in (None, "#,##0.0%"):
                write = percentages(style, pattern)
                assert write is not None
                assert write(text) in (format_percent(number, pattern, locale), None), (locale, text, pattern)
            for currency in CURRENCIES:
                write = amounts(style, currency)
                assert write is not None
                assert write(text) in (format_currency(number, currency, locale=locale), None), (locale, text, currency)


def test_only_a_number_with_two_quotes_is_left_to_babel() -> None:
    """Which drops them, as in Swiss millions; no other locale pays for it."""
    for name in LOCALES:
        write = numbers(style_of(Locale.parse(name)), None)
        assert write is not None
        assert write("123456.5") is not None, name
        assert (write("1234567.5") is None) == ("'" in (write("1234") or "'")), name


@pytest.mark.parametrize("pattern", ["#,##0.00;(#,##0.00)", "#,##,##0.###", "0", "'#'#,##0", "#,##0 ‰", "#0.0#"])
@settings(deadline=None, max_examples=50)
@given(st.from_regex(r"[+-]?[0-9]{1,14}(\.[0-9]{1,10})?", fullmatch=True))
def test_a_pattern_of_its_own_is_written_as_babel_does(pattern: str, text: str) -> None:
    """Other signs, groups and literals than those of CLDR."""
    locale = Locale("en")
    write = number_writer(parse_pattern(pattern), locale)
    assert write is not None
    assert write(text) in (format_decimal(Decimal(text), pattern, locale), None)


@pytest.mark.parametrize("pattern", ["0.###E0", "@@#", "00,000", "¤¤¤ 0"])
def test_a_rare_pattern_is_left_to_babel(pattern: str) -> None:
    """Exponents, significant digits, leading zeros and names of currencies have no writer."""
    assert number_writer(parse_pattern(pattern), Locale("en"), "EUR") is None


@pytest.mark.parametrize("first", FIRST_LETTERS)
def test_plural_categories_are_those_of_babel(first: str) -> None:
    """For small numbers, for their last digits, and around where any rule changes."""
    counts = [*range(1_100), *range(1_000_000 - 25, 1_000_000 + 125), 123_456_789, 2_000_000, 10**12, 10**12 + 1]
    counts += [1_000 * each for each in range(1, 130)] + [-1, -2, -11]
    rules = {id(locale.plural_form): locale for locale in of_letter(first)}
    for locale in {str(locale.plural_form): locale for locale in rules.values()}.values():
        category = count_categories(locale.plural_form)
        for count in counts:
            assert category(count) == locale.plural_form(Decimal(count)), (locale, count)


instants = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC))
plain = st.from_regex(r"[+-]?[0-9]{1,14}(\.[0-9]{1,10})?", fullmatch=True)
locales = st.sampled_from(LOCALES)


def written(source: str, locale: str, value: str, zone: ZoneInfo | None = None) -> str:
    template = TypeTemplate("t", "1", "test", {VariantKey(): Variant(title=compile_source(f"[{source}]"))})
    values = Values("u", "t", {"value": value}, locale, zone=zone or UTC)
    found = [render(template.choose(locale, None), None, None, values) for _ in range(2)]
    assert found[0] == found[1], "the same, made and remembered"
    assert isinstance(found[0], Text), found[0]
    return found[0].title[1:-1]


@settings(deadline=None)
@given(instants, st.sampled_from(sorted(zone_names())), locales, st.sampled_from(INSTANTS), st.booleans(), st.data())
def test_a_filter_writes_any_instant_as_babel_does(
    at: datetime, name: str, locale: str, kind: Instant, as_milliseconds: bool, data: st.DataObject
) -> None:
    """In any zone, by its summer and its winter, from the first year to the last; full times have names of zones."""
    pattern = data.draw(st.sampled_from((*WIDTHS, *(each for each in PATTERNS if each.strip()))))
    zone = zone_named(name)
    assert zone is not None
    text = str((at - datetime(1970, 1, 1, tzinfo=UTC)) // (datetime.resolution * 1000))
    text = text if as_milliseconds else at.isoformat()
    found = Locale.parse(locale)
    try:
        expected = BABEL[kind](at.astimezone(zone), pattern, found)
    except (AttributeError, LookupError, TypeError, ValueError):
        return  # no such pattern for what is no day, or no time; it is tried elsewhere
    quoted = pattern.replace("'", "\\'")
    assert written(f"{{{{ value | {kind}('{quoted}') }}}}", locale, text, zone) == expected


@settings(deadline=None)
@given(plain, locales, st.sampled_from(sorted(list_currencies())), st.one_of(st.none(), st.integers(0, 6)))
def test_a_filter_writes_any_number_as_babel_does(text: str, name: str, currency: str, digits: int | None) -> None:
    """Amounts of all currencies, numbers and percentages of any digits, of any size."""
    locale, number = Locale.parse(name), Decimal(text)
    pattern = None if digits is None else "#,##0" + ("." + "0" * digits if digits else "")
    percent = f"{pattern}%" if digits else None
    assert written(f"{{{{ value | money('{currency}') }}}}", name, text) == format_currency(
        number, currency, locale=locale
    )
    assert written(f"{{{{ value | number({digits}) }}}}".replace("None", "none"), name, text) == format_decimal(
        number, pattern, locale
    )
    assert written(f"{{{{ value | percent({digits or 0}) }}}}", name, text) == format_percent(number, percent, locale)
    forms = ", ".join(f"{form}='{form}'" for form in ("one", "two", "few", "many", "other"))
    category = locale.plural_form(number)
    assert written(f"{{{{ value | plural({forms}) }}}}", name, text) == ("other" if category == "zero" else category)
