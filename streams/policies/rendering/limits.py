"""How much a template may do: what its values may weigh, and how much work all of it may be.

Work is counted in steps. A step is what takes about a quarter of a microsecond: one expression within a loop, one call,
64 characters that a filter walks over. What runs once is not counted one by one, its source has a bound.
"""

from __future__ import annotations

from typing import Final, Protocol

from jinja2 import TemplateRuntimeError

SOURCE_CHARACTERS_MAX: Final = 8_192  # twice what a push can hold
TEXT_CHARACTERS_MAX: Final = 4_096  # no provider takes a payload of more bytes than this
URL_CHARACTERS_MAX: Final = 2_048  # browsers and FCM take as much; half a payload
VALUE_CHARACTERS_MAX: Final = 16_384  # of a text, or of all texts in a list: four times what a push can hold
VALUE_ITEMS_MAX: Final = 1_000  # of a list or a mapping, with what is in it
VALUE_BITS_MAX: Final = 128
WORK_MAX: Final = 20_000  # steps of one push: at most a few milliseconds, a hundred times what a usual one takes

_CHARACTERS_OF_A_STEP_BITS: Final = 6


class LimitError(TemplateRuntimeError):
    """A template does more than it may; the sentence says of what there was too much."""


class Work(Protocol):
    """What a template may still do, in steps."""

    left: int


def spend(work: Work, steps: int) -> None:
    """Count these steps. Raises LimitError when it is too many."""
    work.left -= steps
    if work.left < 0:
        raise _too_much_work()


def spend_on_text(work: Work, text: str, steps: int = 0) -> None:
    """Count the steps of a text, and these. It is called for each value that is shown, and so calls nothing itself."""
    length = len(text)
    if length > VALUE_CHARACTERS_MAX:
        raise text_too_long(length)
    work.left -= steps + 1 + (length >> _CHARACTERS_OF_A_STEP_BITS)
    if work.left < 0:
        raise _too_much_work()


def _too_much_work() -> LimitError:
    return LimitError(f"it takes more than {WORK_MAX:,} steps; are there loops in loops?")


def weigh(value: object) -> int:
    """The steps that walking over a value takes. Raises LimitError for one that is larger than any may be."""
    if isinstance(value, str):
        if len(value) > VALUE_CHARACTERS_MAX:
            raise text_too_long(len(value))
        return 1 + (len(value) >> _CHARACTERS_OF_A_STEP_BITS)
    if isinstance(value, int) and value.bit_length() > VALUE_BITS_MAX:
        raise LimitError(f"a number of {value.bit_length():,} bits; at most {VALUE_BITS_MAX} are allowed")
    if isinstance(value, list | tuple | dict):
        return _walk(value)
    return 1


def _walk(value: object) -> int:
    """What is in it twice counts twice, as whoever walks over it meets it twice: so nothing grows by being nested."""
    characters, items = 0, 0
    ahead: list[object] = [value]
    while ahead:
        each = ahead.pop()
        if isinstance(each, str):
            characters += len(each)
        elif isinstance(each, list | tuple | dict):
            items += len(each)
            if items > VALUE_ITEMS_MAX:
                raise LimitError(f"a list of more than {VALUE_ITEMS_MAX:,} items, with what is in them")
            ahead += each
            if isinstance(each, dict):
                ahead += each.values()
    if characters > VALUE_CHARACTERS_MAX:
        raise text_too_long(characters)
    return 1 + items + (characters >> _CHARACTERS_OF_A_STEP_BITS)


def text_too_long(characters: int) -> LimitError:
    """Say that a text has this many characters, or would have."""
    return LimitError(f"a text of {characters:,} characters; at most {VALUE_CHARACTERS_MAX:,} are allowed")
