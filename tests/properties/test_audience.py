"""Filters over anything that people write and anything that users are: no other error, and the logic that they say."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.policies.audience import Fields, FilterError, Value, read_filter

NAMES = ("language", "bucket", "provider", "profile.a")
TEXTS = st.text("ab12.-'\"\\ é", max_size=4)
NUMBERS = st.integers(-3, 30) | st.decimals(-3, 30, places=1).map(float)
LITERALS = TEXTS | NUMBERS | st.booleans()
VALUES: st.SearchStrategy[Value] = TEXTS | st.integers(-3, 30) | st.frozensets(TEXTS, max_size=2)
USERS: st.SearchStrategy[Fields] = st.dictionaries(st.sampled_from(NAMES), VALUES)
WORDS = st.sampled_from(["and", "or", "not", "in", "exists", "(", ")", ",", "=", "<", "'a'", "1", "bucket", "é", "'"])


def written(literal: Any) -> str:
    """A value as it stands in a filter."""
    if isinstance(literal, bool):
        return "true" if literal else "false"
    if isinstance(literal, str):
        return "'" + literal.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"{literal}"


COMPARISONS = st.one_of(
    st.builds(lambda name, value: f"{name} = {written(value)}", st.sampled_from(NAMES), LITERALS),
    st.builds(
        lambda name, sign, value: f"{name} {sign} {written(value)}",
        st.sampled_from(NAMES),
        st.sampled_from(["<", "<=", ">", ">="]),
        TEXTS | NUMBERS,
    ),
    st.builds(
        lambda name, values: f"{name} in ({', '.join(map(written, values))})",
        st.sampled_from(NAMES),
        st.lists(LITERALS, min_size=1, max_size=3),
    ),
    st.sampled_from([f"exists {name}" for name in NAMES]),
)
FILTERS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        inner.map("not {}".format),
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
    ),
    max_leaves=6,
)


@given(st.text(max_size=60) | st.lists(WORDS, max_size=12).map(" ".join), USERS)
def test_any_text_is_read_or_refused(text: str, user: Fields) -> None:
    """Whatever it is, and what was read can be asked of anybody."""
    try:
        found = read_filter(text)
    except FilterError as error:
        assert 1 <= error.at <= len(text) + 1
        return
    assert isinstance(found.matches(user), bool)


@given(FILTERS, FILTERS, USERS)
def test_the_logic_is_that_of_the_words(one: str, other: str, user: Fields) -> None:
    """`and`, `or` and `not` are Python's, and `or` binds weaker than `and`."""
    first, second = read_filter(one).matches(user), read_filter(other).matches(user)
    assert read_filter(f"({one}) and ({other})").matches(user) == (first and second)
    assert read_filter(f"({one}) or ({other})").matches(user) == (first or second)
    assert read_filter(f"not ({one})").matches(user) == (not first)
    assert read_filter(f"({one}) or ({other}) and ({one})").matches(user) == (first or (second and first))


@given(st.sampled_from(NAMES), st.lists(LITERALS, min_size=1, max_size=4), USERS)
def test_in_is_equal_to_one_of_them(name: str, values: list[Any], user: Fields) -> None:
    """`in` is `=` with `or`, `not in` and `!=` are their opposites."""
    listed = ", ".join(map(written, values))
    found = read_filter(f"{name} in ({listed})").matches(user)
    assert found == read_filter(" or ".join(f"{name} = {written(value)}" for value in values)).matches(user)
    assert read_filter(f"{name} not in ({listed})").matches(user) == (not found)
    one = written(values[0])
    assert read_filter(f"{name} != {one}").matches(user) == (not read_filter(f"{name} = {one}").matches(user))


@given(st.sampled_from(NAMES), TEXTS | NUMBERS, USERS)
def test_order_and_equality_agree(name: str, value: Any, user: Fields) -> None:
    """At most one of less, equal and greater; `<=` is less or equal, where there is an order."""
    less, equal, greater, at_most = (
        read_filter(f"{name} {sign} {written(value)}").matches(user) for sign in ("<", "=", ">", "<=")
    )
    assert less + greater <= 1
    if not isinstance(user.get(name), frozenset):
        assert less + equal + greater <= 1
        assert at_most == (less or equal)


@given(TEXTS, USERS)
def test_a_text_is_what_is_written(text: str, user: Fields) -> None:
    """Quotes and backslashes included."""
    assert read_filter(f"language = {written(text)}").matches({**user, "language": text})
