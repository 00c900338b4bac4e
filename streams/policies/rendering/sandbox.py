"""The sandbox: Jinja2 that reaches nothing of Python, and counts what a template does.

Every value has a bound (`limits.weigh`) that is kept where values are made: by literals, operators, filters, calls and
blocks. So every single operation is short, and what remains is to count those that can be many: iterations and calls.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import partial
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateRuntimeError, Undefined, pass_context
from jinja2.exceptions import SecurityError
from jinja2.nodes import EvalContext
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace, missing

from streams.policies.rendering.bounded import METHODS, check_operands, in_text, kind_of, plain, printf, short_range
from streams.policies.rendering.limits import WORK_MAX, spend, spend_on_text, weigh
from streams.policies.rendering.styles import Style

INTERNAL: Final = " "  # what begins with it is a name that no template can write
CALL_STEPS: Final = 2

# What a template may call on a text; none of them makes more of it than there was.
_TEXT_METHODS: Final = frozenset(
    (
        *("capitalize", "casefold", "lower", "swapcase", "title", "upper"),
        *("lstrip", "removeprefix", "removesuffix", "rstrip", "strip"),
        *("partition", "rpartition", "rsplit", "split", "splitlines"),
        *("count", "endswith", "find", "rfind", "startswith"),
        *("isalnum", "isalpha", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "isupper"),
    )
)
_MAPPING_METHODS: Final = frozenset(("items", "keys", "values", "get"))
_LOOP_ATTRIBUTES: Final = frozenset(
    (
        *("index", "index0", "revindex", "revindex0", "first", "last", "length"),
        *("cycle", "changed", "depth", "depth0", "previtem", "nextitem"),
    )
)
_PUBLIC: Final = re.compile(r"[A-Za-z]\w*")
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "**": operator.pow,
    "%": operator.mod,
}
GLOBALS: Final[Mapping[str, Any]] = {
    "range": short_range,
    "dict": dict,
    "namespace": Namespace,
    "cycler": Cycler,
    "joiner": Joiner,
}


class Missing(StrictUndefined):
    """A name that nothing stands for: whoever uses it fails, and the sentence names it."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if self._undefined_obj is missing:
            return f"{self._undefined_name!r} is missing: neither the event nor the profile has it"
        return f"{self._undefined_name!r} is missing in {kind_of(self._undefined_obj)}"


@pass_context
def show(rendering: Any, value: object) -> str:
    """Return what `{{ value }}` puts into the text."""
    text = value if type(value) is str else in_text(value)
    spend_on_text(rendering, text)
    return text


class Sandbox(ImmutableSandboxedEnvironment):
    """See the module. A push is no HTML on any of the three providers, so nothing is escaped."""

    intercepted_binops = frozenset(_OPERATORS)

    def __init__(self, filters: Mapping[str, Callable[..., Any]], tests: Mapping[str, Callable[..., Any]]) -> None:
        # Not optimized: that would evaluate at compile time what is to be counted when it is rendered.
        super().__init__(undefined=Missing, autoescape=False, finalize=show, optimized=False)
        self.globals = dict(GLOBALS)
        self.filters = dict(filters)
        self.tests = dict(tests)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`: an entry of a mapping, or one of the few methods that a template may call."""
        if isinstance(obj, dict):
            value = obj.get(attribute)
            if value is not None:
                return value
            if attribute in _MAPPING_METHODS:
                return getattr(obj, attribute)
        elif isinstance(obj, str):
            if attribute in _TEXT_METHODS:
                return getattr(obj, attribute)
            if attribute in METHODS:
                return partial(METHODS[attribute], obj)
        elif isinstance(obj, LoopContext):
            if attribute in _LOOP_ATTRIBUTES:
                return getattr(obj, attribute)
        elif isinstance(obj, Undefined):
            in_text(obj)  # raises, and names it
        elif isinstance(obj, Namespace | Cycler) and _PUBLIC.fullmatch(attribute):
            return getattr(obj, attribute, self.undefined(obj=obj, name=attribute))
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`, of a mapping, a list or a text."""
        if isinstance(obj, dict | list | tuple | str | range):
            try:
                value = obj[argument]
            except (TypeError, LookupError):
                value = None
            if value is not None:
                return value
        elif isinstance(obj, Namespace | Undefined) and isinstance(argument, str):
            return self.getattr(obj, argument)
        return self.undefined(obj=obj, name=argument)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 (as in the base class)
        """A call: counted, and its result has its bound."""
        kwargs.pop("_loop_vars", None)  # Jinja's own, for functions that are given the context
        kwargs.pop("_block_vars", None)
        if isinstance(__obj, Undefined):
            in_text(__obj)  # raises, and names it
        if not callable(__obj):
            raise SecurityError(f"{kind_of(__obj)} cannot be called")
        result = __obj(*args, **kwargs)
        spend(__context, CALL_STEPS + weigh(result))
        return result

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """An operator: its result has its bound, which is looked at before it is made."""
        if operator == "%" and isinstance(left, str):
            result: Any = printf(left, right)
        else:
            check_operands(operator, left, right)
            result = _OPERATORS[operator](left, right)
        spend(context, weigh(result))
        return result

    def call_filter(self, name: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        """A filter by its name, as `map` has it; what we put into templates ourselves is none of them."""
        _check_name("filter", name)
        return super().call_filter(name, value, *args, **kwargs)

    def call_test(self, name: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        """A test by its name, as `select` has it."""
        _check_name("test", name)
        return super().call_test(name, value, *args, **kwargs)


def _check_name(kind: str, name: object) -> None:
    if not isinstance(name, str) or name.startswith(INTERNAL):
        raise TemplateRuntimeError(f"there is no {kind} {str(name)[:40]!r}")


class Rendering(Context):
    """One push being rendered: what its templates may read, for whom, and how much work is left.

    Names are looked up in the event, then in what is said of it, then in the profile; nothing is copied together.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        eval_context: EvalContext,
        data: Mapping[str, str],
        profile: Mapping[str, object],
        own: Mapping[str, object],
        zone: tzinfo,
        style: Style,
    ) -> None:
        # What Context would set, without making anew what is the same each time.
        self.environment = sandbox
        self.eval_ctx = eval_context
        self.parent: dict[str, Any] = {}
        self.vars: dict[str, Any] = {}
        self.exported_vars: set[str] = set()
        self.blocks: dict[str, Any] = {}
        self.name = None
        self.left = WORK_MAX
        self.style = style  # of the text that is being rendered
        self.zone = zone
        self._data = data
        self._profile = profile
        self._own = own

    def resolve_or_missing(self, key: str) -> Any:
        """See Context. A profile's null is as if it were not there."""
        if key in self.vars:
            return self.vars[key]
        value: object = self._data.get(key)
        if value is not None:
            return value
        value = self._own.get(key)
        if value is not None:
            return value
        value = self._profile.get(key)
        if value is None:
            return GLOBALS.get(key, missing)
        spend(self, plain(key, value))
        return value

    def forget(self) -> None:
        """Forget what one template has set, before the next one of the same push."""
        self.vars.clear()
        self.exported_vars.clear()
