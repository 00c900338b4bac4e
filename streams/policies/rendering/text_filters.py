"""The filters and tests of Jinja that a message may use, each counted, with a bound for what it makes.

What is left out makes HTML, draws lots, or lays out pages: nothing that a push shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import Any, Final, cast

from jinja2 import Undefined, pass_context
from jinja2 import filters as jinja
from jinja2.tests import TESTS as JINJA_TESTS

from streams.policies.rendering.bounded import center, in_text, join, printf, replace
from streams.policies.rendering.counting import each
from streams.policies.rendering.limits import VALUE_ITEMS_MAX, LimitError, spend, weigh
from streams.policies.rendering.sandbox import CALL_STEPS

ROUND_DIGITS_MAX: Final = 20
SLOW: Final = 8  # so many times the steps of a plain walk, for what looks at each character or item in Python
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.\-~/]*")

Filter = Callable[..., Any]


def counted(filter_: Filter, slowness: int = 1) -> Filter:
    """Return a filter of (value, …) so that it counts."""

    @pass_context
    def call(rendering: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, Undefined):
            in_text(value)  # raises, and names it
        spend(rendering, CALL_STEPS + slowness * weigh(value))
        result = filter_(value, *args, **kwargs)
        spend(rendering, weigh(result))
        return result

    return call


def _of_environment(filter_: Filter, slowness: int = 1, lists: bool = False) -> Filter:
    """The same, of a filter of (environment, value, …); `lists`: it returns its items one by one."""

    @pass_context
    def call(rendering: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        found = partial(filter_, rendering.environment)
        whole = (lambda *a, **k: _listed(found(*a, **k))) if lists else found
        return counted(whole, slowness)(rendering, value, *args, **kwargs)

    return call


def _of_text(filter_: Filter, slowness: int = 1) -> Filter:
    """The same, of a filter of (text, …): numbers are taken as they are written."""
    return counted(lambda value, *args, **kwargs: filter_(in_text(value), *args, **kwargs), slowness)


def _item_by_item(filter_: Filter) -> Filter:
    """The same, of a filter of (context, items, …) that returns its items one by one."""

    @pass_context
    def call(rendering: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        return each(rendering, filter_(rendering, value, *args, **kwargs), CALL_STEPS)

    return call


def _listed(items: Iterable[Any]) -> list[Any]:
    found = list(islice(items, VALUE_ITEMS_MAX + 1))
    if len(found) > VALUE_ITEMS_MAX:
        raise LimitError(f"a list of more than {VALUE_ITEMS_MAX:,} items")
    return found


def default(value: Any, instead: Any = "", boolean: bool = False) -> Any:
    """Return another value where there is none, or null; with `boolean` also where it is empty."""
    return instead if isinstance(value, Undefined) or value is None or (boolean and not value) else value


def _join(items: Any, separator: str = "", attribute: Any = None, *, rendering: Any = None) -> str:
    if attribute is not None:
        items = map(jinja.make_attrgetter(rendering.environment, attribute), items)
    return join(in_text(separator), items)


@pass_context
def _join_counted(rendering: Any, items: Any, *args: Any, **kwargs: Any) -> Any:
    return counted(partial(_join, rendering=rendering))(rendering, items, *args, **kwargs)


def _round(value: Any, precision: int = 0, method: str = "common") -> Any:
    if abs(precision) > ROUND_DIGITS_MAX:
        raise LimitError(f"{precision} digits; at most {ROUND_DIGITS_MAX} are allowed")
    return jinja.do_round(value, precision, method)  # type: ignore[arg-type] # it checks the method


def _sum(items: Iterable[Any], start: float = 0) -> Any:
    for item in items:
        if not isinstance(item, int | float):
            raise TypeError("only numbers have a sum")
        start += item
    return start


def _truncate(environment: Any, text: Any, *args: Any, **kwargs: Any) -> str:
    return jinja.do_truncate(environment, in_text(text), *args, **kwargs)


def _urlencode(value: Any) -> str:
    if type(value) is str and _UNRESERVED.fullmatch(value):
        return value  # a number, a name: most of what is written into links
    return jinja.do_urlencode(value)


def _reverse(value: Any) -> Any:
    return value[::-1] if isinstance(value, str | list | tuple) else _listed(value)[::-1]


def _first(value: Any) -> Any:
    return next(iter(value), "")


def _last(value: Any) -> Any:
    return next(iter(_reverse(value)), "")


def _length(value: Any) -> int:
    return len(value if hasattr(value, "__len__") else _listed(value))


FILTERS: Final[dict[str, Filter]] = {
    "abs": counted(abs),
    "capitalize": _of_text(jinja.do_capitalize),
    "center": _of_text(center),
    "count": counted(_length),
    "d": default,
    "default": default,
    "dictsort": counted(jinja.do_dictsort, SLOW),
    "first": counted(_first),
    "float": counted(jinja.do_float),
    "format": counted(lambda form, *values, **named: printf(in_text(form), named or values)),
    "int": counted(jinja.do_int),
    "items": counted(lambda value: _listed(value.items())),
    "join": _join_counted,
    "last": counted(_last),
    "length": counted(_length),
    "list": counted(_listed),
    "lower": _of_text(jinja.do_lower),
    "map": _item_by_item(jinja.sync_do_map),
    "max": _of_environment(jinja.do_max, SLOW),
    "min": _of_environment(jinja.do_min, SLOW),
    "reject": _item_by_item(jinja.sync_do_reject),
    "rejectattr": _item_by_item(jinja.sync_do_rejectattr),
    "replace": _of_text(replace),
    "reverse": counted(_reverse),
    "round": counted(_round),
    "select": _item_by_item(jinja.sync_do_select),
    "selectattr": _item_by_item(jinja.sync_do_selectattr),
    "sort": _of_environment(jinja.do_sort, SLOW),
    "string": _of_text(str),
    "striptags": _of_text(jinja.do_striptags, SLOW),
    "sum": counted(_sum),
    "title": _of_text(jinja.do_title, SLOW),
    "trim": _of_text(jinja.do_trim),
    "truncate": _of_environment(_truncate),
    "unique": _of_environment(jinja.do_unique, SLOW, lists=True),
    "upper": _of_text(jinja.do_upper),
    "urlencode": counted(_urlencode, SLOW),
    "wordcount": _of_text(jinja.do_wordcount, SLOW),
}

_OF_THE_NAME = ("defined", "undefined")
_OF_THE_KIND = ("none", "boolean", "true", "false", "integer", "float", "string", "number", "mapping", "sequence")
_OF_THE_VALUE = ("even", "odd", "divisibleby", "lower", "upper", "in")
_COMPARED = ("eq", "equalto", "==", "ne", "!=", "gt", "greaterthan", ">", "ge", ">=", "lt", "lessthan", "<", "le", "<=")


def _counted_test(test: Filter) -> Filter:
    @pass_context
    def call(rendering: Any, value: Any, *args: Any) -> Any:
        spend(rendering, CALL_STEPS + sum(map(weigh, (value, *args))))
        return test(value, *args)

    return call


_JINJA: Final = cast("dict[str, Filter]", JINJA_TESTS)
TESTS: Final[dict[str, Filter]] = {
    **{name: _JINJA[name] for name in (*_OF_THE_NAME, *_OF_THE_KIND)},
    **{name: _counted_test(_JINJA[name]) for name in (*_OF_THE_VALUE, *_COMPARED)},
}
