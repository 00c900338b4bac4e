"""The plural category of a count, by the rules of one language."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from babel.plural import PluralRule

COUNTS_CACHED: Final = 2_048  # of one language


def count_categories(rule: PluralRule) -> Callable[[int], str]:
    """Return what gives the category of a whole number.

    Rules compare a number, or its last digits, with constants. So beyond the largest constant only the last digits
    matter, and few numbers stand for all.
    """
    period = math.lcm(*(node[1][1][1][0] for node in _nodes(rule.abstract) if node[0] == "mod"))
    first = 1 + max((node[1][0] for node in _nodes(rule.abstract) if node[0] == "value"), default=0)
    category_of = lru_cache(maxsize=COUNTS_CACHED)(rule)

    def category(count: int) -> str:
        count = abs(count)
        return category_of(count if count < first else first + (count - first) % period)

    return category


def _nodes(tree: Any) -> Iterator[tuple[str, Any]]:
    """All nodes of Babel's syntax tree: pairs of a name and what it is made of."""
    ahead = [tree]
    while ahead:
        each = ahead.pop()
        if isinstance(each, tuple | list):
            if len(each) == 2 and isinstance(each[0], str):
                yield each[0], each[1]
            ahead += each
