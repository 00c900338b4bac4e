"""Numbers, amounts and percentages by one pattern of CLDR, as `babel.numbers.NumberPattern.apply` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from babel import Locale
from babel.numbers import (
    NumberPattern,
    get_currency_precision,
    get_currency_symbol,
    get_decimal_symbol,
    get_group_symbol,
)

NumberWriter = Callable[[str], str | None]
"""Of a number as events have it; None: it is one for Babel."""

# So many digits that Babel's arithmetic, of 28, never rounds any of them.
_USUAL: Final = re.compile(r"([+-]?)0*([0-9]{1,12})(?:\.([0-9]{1,9}))?")
_WHOLE_DIGITS_MAX: Final = 12
_FRACTION_DIGITS_MAX: Final = 12
_NAME_OF_CURRENCY: Final = "¤¤¤"  # by the plural of the amount
_THOUSANDS: Final = (3, 3)


def number_writer(pattern: NumberPattern, locale: Locale, currency: str | None = None) -> NumberWriter | None:
    """Return what writes numbers by a pattern, or None where the pattern is none of the usual ones."""
    least, most = pattern.frac_prec if currency is None else (get_currency_precision(currency),) * 2
    signs = "".join((*pattern.prefix, *pattern.suffix))
    is_usual = pattern.number_pattern and not pattern.exp_prec and "@" not in pattern.pattern
    if not is_usual or pattern.int_prec[0] > 1 or most > _FRACTION_DIGITS_MAX or _NAME_OF_CURRENCY in signs:
        return None
    around = [
        (_with_currency(prefix, currency, locale), _with_currency(suffix, currency, locale))
        for prefix, suffix in zip(pattern.prefix, pattern.suffix, strict=True)
    ]
    point = get_decimal_symbol(locale)
    grouped = _grouping(pattern.grouping, get_group_symbol(locale))
    is_quoted = "'" in "".join((point, grouped(10**12), *around[0], *around[1]))
    unit, scale, ungrouped = 10**most, pattern.scale, 10 ** pattern.grouping[0]

    def write(text: str) -> str | None:
        if len(text) <= _WHOLE_DIGITS_MAX and text.isdigit() and text.isascii():
            sign, whole, fraction = "", text, ""
        else:
            found = _USUAL.fullmatch(text)
            if found is None:
                return None
            sign, whole, fraction = found.groups("")
        number, excess = int(whole + fraction), len(fraction) - scale - most
        if excess < 0:
            number *= 10**-excess
        elif excess:
            number = _rounded(number, 10**excess)
        before, after = around[sign == "-"]
        if most:
            number, rest = divmod(number, unit)
            after = _fraction(rest, point, least, most) + after
        written = f"{before}{number if number < ungrouped else grouped(number)}{after}"
        # Babel drops pairs of single quotes, also where a locale groups digits by them.
        return None if is_quoted and written.count("'") > 1 else written

    return write


def _with_currency(text: str, currency: str | None, locale: Locale) -> str:
    if currency is None or "¤" not in text:
        return text
    return text.replace("¤¤", currency).replace("¤", get_currency_symbol(currency, locale))


def _rounded(number: int, unit: int) -> int:
    """Half to even, as decimals are rounded."""
    found, rest = divmod(number, unit)
    return found + (2 * rest > unit or (2 * rest == unit and found % 2 == 1))


def _fraction(rest: int, point: str, least: int, most: int) -> str:
    if least == most:
        return f"{point}{rest:0{most}d}"
    if not rest and not least:
        return ""
    digits = f"{rest:0{most}d}"
    return point + digits[:least] + digits[least:].rstrip("0")


def _grouping(sizes: tuple[int, int], separator: str) -> Callable[[int], str]:
    """Return what writes whole numbers: the last group is of the first size, all before it are of the second."""
    if sizes == _THOUSANDS:
        return lambda number: f"{number:,}".replace(",", separator)
    last, others = sizes

    def grouped(number: int) -> str:
        digits = str(number)
        groups: list[str] = []
        size = last
        while len(digits) > size:
            groups.append(digits[-size:])
            digits, size = digits[:-size], others
        return separator.join([digits, *reversed(groups)])

    return grouped
