"""Which users a broadcast is for: a small language over what is known of a user, read once and asked for each.

    language = 'de' and provider in ('apns', 'fcm') and not profile.plan = 'free'
    exists profile.country and profile.age >= 18 and bucket < 10

    expression := all { "or" all }            all := each { "and" each }
    each       := "not" each | "(" expression ")" | "exists" field | field compares value
                | field [ "not" ] "in" "(" value { "," value } ")"
    compares   := "=" | "!=" | "<" | "<=" | ">" | ">="        value := 'text' | "text" | number | true | false

What a user does not have is equal to nothing, and neither less nor greater. `a != b` is `not a = b` and nothing else,
so it is true where `a` is not there. A field with several values (`provider`) is equal to each of them. Compared to a
number, a text counts as the number that it shows, and as nothing where it shows none; texts are ordered by their code
points. Nothing is ever evaluated but this.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, NoReturn

Value = str | int | float | bool | frozenset[str]
Fields = Mapping[str, Value]
Matcher = Callable[[Fields], bool]

CHARACTERS_MAX: Final = 4_000
DEPTH_MAX: Final = 32  # of parentheses and `not`, so that a filter cannot exhaust the stack
PROFILE: Final = "profile."
FIELDS: Final = ("user_id", "name", "language", "locale", "time_zone", "provider", "devices", "bucket")
BUCKETS: Final = 100

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?![\w.]))"""
    r"""|(?P<word>[^\W\d][\w.\-]*)|(?P<sign>!=|<=|>=|[=<>(),]))""",
    re.DOTALL,
)
_NUMBER: Final = re.compile(r"-?\d{1,300}(?:\.\d{1,300})?\Z", re.ASCII)
_KEYWORDS: Final = frozenset(("and", "or", "not", "in", "exists", "true", "false"))


class FilterError(ValueError):
    """What is wrong with a filter, and where: `at` counts characters from 1."""

    def __init__(self, at: int, what: str) -> None:
        super().__init__(f"filter: at character {at}: {what}")
        self.at: Final = at


class Audience(NamedTuple):
    """A filter that was read: whether it is true for a user, and which fields it asks for."""

    matches: Matcher
    fields: frozenset[str]


def read_filter(text: str) -> Audience:
    """Read a filter. Raises FilterError, which names the position."""
    if len(text) > CHARACTERS_MAX:
        raise FilterError(CHARACTERS_MAX + 1, f"it has {len(text):,} characters, at most {CHARACTERS_MAX:,} are read")
    reader = _Reader(_tokens(text))
    matches = reader.expression(0)
    reader.end()
    return Audience(matches, frozenset(reader.fields))


class _Token(NamedTuple):
    kind: str
    text: str
    at: int

    @property
    def keyword(self) -> str | None:
        """The keyword that it is, whatever its case."""
        lowered = self.text.lower()
        return lowered if self.kind == "word" and lowered in _KEYWORDS else None

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text[:40])


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            if text[start] in "'\"":
                raise FilterError(start + 1, f"the text that begins here has no closing {text[start]}")
            raise FilterError(start + 1, f"{text[start]!r} cannot stand here")
        kind = found.lastgroup or ""
        tokens.append(_Token(kind, found[kind], found.start(kind) + 1))
        at = found.end()
    return [*tokens, _Token("end", "", end + 1)]


class _Reader:
    """Recursive descent: one method for each rule above."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self.fields: set[str] = set()

    @property
    def _here(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._here
        self._next += 1
        return token

    def _is(self, *wanted: str) -> bool:
        token = self._here
        if (token.keyword or (token.text if token.kind == "sign" else "")) not in wanted:
            return False
        self._next += 1
        return True

    def _expected(self, what: str) -> NoReturn:
        raise FilterError(self._here.at, f"expected {what}, found {self._here}")

    def end(self) -> None:
        """Nothing may follow."""
        if self._here.kind != "end":
            self._expected("`and`, `or` or the end")

    def expression(self, depth: int) -> Matcher:
        """One or more, of which one must be true."""
        parts = [self._all(depth)]
        while self._is("or"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else lambda fields: any(part(fields) for part in parts)

    def _all(self, depth: int) -> Matcher:
        parts = [self._each(depth)]
        while self._is("and"):
            parts.append(self._each(depth))
        return parts[0] if len(parts) == 1 else lambda fields: all(part(fields) for part in parts)

    def _each(self, depth: int) -> Matcher:
        if depth > DEPTH_MAX:
            raise FilterError(self._here.at, f"more than {DEPTH_MAX} levels of parentheses and `not`")
        if self._is("not"):
            return _negated(self._each(depth + 1))
        if self._is("("):
            inner = self.expression(depth + 1)
            if not self._is(")"):
                self._expected("`)`")
            return inner
        if self._is("exists"):
            name = self._field()
            return lambda fields: name in fields
        return self._comparison()

    def _comparison(self) -> Matcher:
        name = self._field()
        if self._is("not"):
            if not self._is("in"):
                self._expected("`in`")
            return _negated(self._in(name))
        if self._is("in"):
            return self._in(name)
        sign = self._here
        if sign.kind != "sign" or sign.text not in _SIGNS:
            self._expected("`=`, `!=`, `<`, `<=`, `>`, `>=` or `in`")
        self._next += 1
        at = self._here.at
        value = self._value()
        if isinstance(value, bool) and sign.text not in ("=", "!="):
            raise FilterError(at, "true and false have no order")
        return _SIGNS[sign.text](name, value)

    def _in(self, name: str) -> Matcher:
        if not self._is("("):
            self._expected("`(`")
        values = [self._value()]
        while self._is(","):
            values.append(self._value())
        if not self._is(")"):
            self._expected("`,` or `)`")
        texts = frozenset(value for value in values if isinstance(value, str))
        others = [_equal(name, value) for value in values if not isinstance(value, str)]
        is_text = _one_of(name, texts)
        return is_text if not others else lambda fields: is_text(fields) or any(other(fields) for other in others)

    def _field(self) -> str:
        token = self._here
        if token.kind != "word" or token.keyword:
            self._expected("a field")
        name = token.text
        if name not in FIELDS and not (name.startswith(PROFILE) and len(name) > len(PROFILE)):
            close = difflib.get_close_matches(name, FIELDS, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(FIELDS)} and {PROFILE}NAME"
            raise FilterError(token.at, f"there is no field {name[:40]!r}{hint}")
        self._next += 1
        self.fields.add(name)
        return name

    def _value(self) -> str | int | float | bool:
        token = self._take()
        if token.kind == "text":
            return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
        if token.kind == "number":
            return _number(token.text)
        if token.keyword in ("true", "false"):
            return token.keyword == "true"
        self._next -= 1
        self._expected("a text in quotes, a number, true or false")


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _negated(inner: Matcher) -> Matcher:
    return lambda fields: not inner(fields)


def _shown_number(value: Value | None) -> int | float | None:
    """The number that a value is or shows."""
    if isinstance(value, str):
        return _number(value) if _NUMBER.match(value) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _one_of(name: str, texts: frozenset[str]) -> Matcher:
    def matches(fields: Fields) -> bool:
        value = fields.get(name)
        return (
            not texts.isdisjoint(value) if isinstance(value, frozenset) else isinstance(value, str) and value in texts
        )

    return matches


def _equal(name: str, wanted: str | int | float | bool) -> Matcher:
    if isinstance(wanted, bool):
        shown = "true" if wanted else "false"
        return lambda fields: fields.get(name) in (shown, wanted) and not _is_number(fields.get(name))
    if isinstance(wanted, str):
        return _one_of(name, frozenset((wanted,)))
    return lambda fields: _shown_number(fields.get(name)) == wanted


def _is_number(value: Value | None) -> bool:
    """1 equals True in Python, and not here."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[str, str | int | float | bool], Matcher]:
    def of(name: str, wanted: str | int | float | bool) -> Matcher:
        if isinstance(wanted, str):

            def by_text(fields: Fields) -> bool:
                value = fields.get(name)
                return isinstance(value, str) and compare(value, wanted)

            return by_text

        def by_number(fields: Fields) -> bool:
            value = _shown_number(fields.get(name))
            return value is not None and compare(value, wanted)

        return by_number

    return of


_SIGNS: Final[dict[str, Callable[[str, str | int | float | bool], Matcher]]] = {
    "=": _equal,
    "!=": lambda name, wanted: _negated(_equal(name, wanted)),
    "<": _ordered(lambda value, wanted: value < wanted),
    "<=": _ordered(lambda value, wanted: value <= wanted),
    ">": _ordered(lambda value, wanted: value > wanted),
    ">=": _ordered(lambda value, wanted: value >= wanted),
}
