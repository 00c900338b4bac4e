"""What a template may do with values, where the result has its bound before it is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from jinja2 import TemplateRuntimeError, Undefined

from streams.policies.rendering.limits import VALUE_CHARACTERS_MAX, VALUE_ITEMS_MAX, LimitError, text_too_long, weigh

EXPONENT_MAX: Final = 64
_KINDS: Final[dict[type, str]] = {str: "text", dict: "mapping", tuple: "list"}

# A field that is thousands wide, one whose width is a value, or one by its name, which can stand there many times.
_LARGE_FIELD: Final = re.compile(r"%(?:\(|[^a-zA-Z%]*(?:\d{4}|\*))")


def in_text(value: object) -> str:
    """Return a value as it stands in a text. Raises TemplateRuntimeError for what is no text: a list, a function."""
    if isinstance(value, str | Undefined):
        return str(value)  # raises for a name that nothing stands for, and says which
    if isinstance(value, int | float | Decimal):
        return str(value)
    hint = "; join it" if isinstance(value, list | tuple) else ""
    raise TemplateRuntimeError(f"{kind_of(value)} is no text{hint}")


def kind_of(value: object) -> str:
    """Say what a value is."""
    return "null" if value is None else f"a {_KINDS.get(type(value)) or type(value).__name__}"


def replace(text: str, old: str, new: str, count: int = -1) -> str:
    """Put `new` in the place of `old`, everywhere or so many times."""
    old, new = in_text(old), in_text(new)
    found = text.count(old) if count < 0 else min(count, text.count(old))
    check_characters(len(text) + found * (len(new) - len(old)))
    return text.replace(old, new, count)


def join(separator: str, items: Iterable[Any]) -> str:
    """Put items behind each other, with the separator between them."""
    texts: list[str] = []
    characters = 0
    for item in items:
        text = in_text(item)
        characters += len(text) + len(separator)
        check_characters(characters - len(separator))
        texts.append(text)
    return separator.join(texts)


def printf(form: str, values: Any) -> str:
    """Fill a format as C has it, `%s` and `%.2f`."""
    if _LARGE_FIELD.search(form):
        raise LimitError("a field of a format has no name, and is at most 999 characters wide")
    filled: str = form % values
    return filled


def center(text: str, width: int = 80) -> str:
    """Put blanks around a text, up to so many characters."""
    check_characters(width)
    return text.center(width)


def zfill(text: str, width: int) -> str:
    """Put zeros before a text, up to so many characters."""
    check_characters(width)
    return text.zfill(width)


def short_range(*limits: int) -> range:
    """Return a range of as many numbers as a list may have."""
    for limit in limits:
        weigh(limit)  # a range of larger numbers has no length
    found = range(*limits)
    if found and (found[-1] - found[0]) // found.step >= VALUE_ITEMS_MAX:
        raise LimitError(f"a range of more than {VALUE_ITEMS_MAX:,} numbers")
    return found


def check_operands(sign: str, left: Any, right: Any) -> None:
    """Raise LimitError where an operator would make too much of these two."""
    if sign == "**" and isinstance(right, int | float | Decimal) and not -EXPONENT_MAX <= right <= EXPONENT_MAX:
        raise LimitError(f"to the power of {right}; at most {EXPONENT_MAX} is allowed")
    if sign == "*":
        _check_repeated(left, right)
        _check_repeated(right, left)


def _check_repeated(many: Any, times: Any) -> None:
    if isinstance(many, str) and isinstance(times, int):
        check_characters(len(many) * times)
    elif isinstance(many, list | tuple) and isinstance(times, int) and len(many) * times > VALUE_ITEMS_MAX:
        raise LimitError(f"a list of more than {VALUE_ITEMS_MAX:,} items")


def check_characters(characters: int) -> None:
    """Raise LimitError for a text that would have too many characters."""
    if characters > VALUE_CHARACTERS_MAX:
        raise text_too_long(characters)


def plain(name: str, value: object) -> int:
    """Return what a value of a profile weighs. Raises TemplateRuntimeError unless it is made of what JSON has."""
    steps = weigh(value)  # it has a bound, or else this has raised
    ahead: list[object] = [value]
    while ahead:
        each = ahead.pop()
        if isinstance(each, list | tuple | dict):
            ahead += each
            if isinstance(each, dict):
                ahead += each.values()
        elif not isinstance(each, str | int | float | Decimal | None):
            raise TemplateRuntimeError(f"{name!r} of the profile holds {kind_of(each)}")
    return steps


METHODS: Final[dict[str, Callable[..., str]]] = {"replace": replace, "join": join, "center": center, "zfill": zfill}
"""Those of a text that can make more of it than there was."""
