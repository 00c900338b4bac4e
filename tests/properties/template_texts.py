"""Templates that anybody might write, and some that nobody would: texts of a grammar, and the values they are given."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from streams.policies.rendering.compiling import SANDBOX
from streams.policies.rendering.sandbox import INTERNAL

NAMES = ("name", "count", "at", "price", "items", "data", "x", "y", "ns", "loop", "missing_one", "self", "caller")
NUMBERS = ("0", "1", "-1", "2", "3.5", "64", "65", "999", "1000", "16384", "1000000000", "1e300", "10**9", "2**64")
TEXTS = (
    "''",
    "'a'",
    "'Ünï'",
    "'%s'",
    "'%999d'",
    "'%*d'",
    "'{0}'",
    "'long'",
    "'EUR'",
    "'a,b'",
    "'<b>'",
    "'join'",
    "' run'",
)
FILTERS = sorted(name for name in SANDBOX.filters if not name.startswith(INTERNAL))
TESTS = sorted(name for name in SANDBOX.tests if name.isidentifier())
METHODS = (
    *("upper", "split", "replace", "join", "center", "zfill", "format", "items", "get", "append", "__class__", "cycle"),
    *("length", "index", "x", "pop", "update", "encode", "translate", "casefold", "mro", "next", "current"),
)
BINARY = ("+", "-", "*", "/", "//", "%", "**", "~", "and", "or", "==", "<", ">=", "in", "not in")

_filters, _tests, _methods = st.sampled_from(FILTERS), st.sampled_from(TESTS), st.sampled_from(METHODS)
_targets = st.sampled_from(("x", "ns.x"))
_atoms = st.one_of(st.sampled_from(NAMES), st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.just("range(900)"))


def _of(form: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """The form with these put into it."""
    return st.tuples(*parts).map(lambda found: form % found)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arguments = st.lists(inner, max_size=2).map(", ".join)
    return st.one_of(
        _of("(%s %s %s)", inner, st.sampled_from(BINARY), inner),
        _of("(%s | %s)", inner, _filters),
        _of("(%s | %s(%s))", inner, _filters, arguments),
        _of("(%s | map('%s') | list)", inner, _filters),
        _of("(%s | plural(one=%s, other='s'))", inner, inner),
        _of("(%s is %s)", inner, _tests),
        _of("(%s).%s", inner, _methods),
        _of("(%s).%s(%s)", inner, _methods, arguments),
        _of("(%s)[%s]", inner, inner),
        _of("(%s)[:%s]", inner, inner),
        _of("[%s]", arguments),
        _of("(%s, %s)", inner, inner),
        _of("{'x': %s, 'y': %s}", inner, inner),
        _of("dict(x=%s, y=%s)", inner, inner),
        _of("(%s if %s else %s)", inner, inner, inner),
        _of("range(%s, %s)", inner, inner),
        _of("namespace(x=%s)", inner),
        _of("m(%s)", inner),
        _of("(-%s)", inner),
    )


expressions = st.recursive(_atoms, _larger, max_leaves=8)


def _blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=3).map("".join)
    return st.one_of(
        _of("{%% for x in %s %%}%s{%% endfor %%}", expressions, body),
        _of("{%% for x in %s if %s %%}%s{%% else %%}-{%% endfor %%}", expressions, expressions, body),
        _of("{%% for x in range(900) %%}{%% for y in range(900) %%}%s{%% endfor %%}{%% endfor %%}", body),
        _of("{%% if %s %%}%s{%% endif %%}", expressions, body),
        _of("{%% set %s = %s %%}", _targets, expressions),
        _of("{%% set %s %%}%s{%% endset %%}", _targets, body),
        _of("{%% macro m(x) %%}%s{%% endmacro %%}", body),
        _of("{%% call m(1) %%}%s{%% endcall %%}", body),
        _of("{%% filter %s %%}%s{%% endfilter %%}", _filters, body),
        _of("{%% with y = %s %%}%s{%% endwith %%}", expressions, body),
    )


_leaves = st.one_of(
    expressions.map(lambda text: f"{{{{ {text} }}}}"), st.sampled_from(("", " ", "text", "\n", "ü" * 100))
)
_statements = st.recursive(_leaves, _blocks, max_leaves=6)
_SETUP = "{% set ns = namespace(x='a' * 99) %}{% macro m(x) %}{{ x }}{{ m(x) if x == 1 }}{% endmacro %}"
grammatical = st.lists(_statements, max_size=4).map(lambda parts: _SETUP + "".join(parts))
templates = st.one_of(grammatical, st.lists(_statements, max_size=4).map("".join), st.text(max_size=200))

data_values = st.one_of(
    st.text(max_size=50),
    st.sampled_from(("", "3", "-1.5", "1e40", "2026-12-24", "2026-12-24T18:00:00Z", "1766595600000", "x" * 3_000)),
)
data = st.dictionaries(st.sampled_from(NAMES), data_values, max_size=6)
plain: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=10,
)
profiles = st.dictionaries(st.sampled_from(NAMES), plain, max_size=4)
