"""Checks that bytes are exactly one record of a schema, before anything is decoded or allocated.

fastavro is made for bytes that can be trusted: it takes -1 as the last symbol of an enum, 2 as true, a varint of any
length, an int of 64 bits, and stops before the end without a word. What comes from outside is walked by this first, so
that poison is named with its field and its code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from schemas.poison import DeadLetterCode, PoisonError

Walk = Callable[[bytes, int], int]
"""Takes the bytes and a position, gives the position after the value. Raises StructureError."""

LENGTH_MAX: Final = 2**31 - 1  # A Kafka record's value cannot be longer: its length is an int of 32 bits.
DEPTH_MAX: Final = 64  # Our records are 3 deep; only a foreign schema that refers to itself goes further.


class StructureError(PoisonError):
    """A PoisonError that learns on its way up in which field it was found."""

    def __init__(self, code: DeadLetterCode, flaw: str, path: str = "") -> None:
        super().__init__(code, f"{path}: {flaw}" if path else flaw)
        self.flaw = flaw
        self.path = path

    def within(self, name: str) -> StructureError:
        """The same, found in this field or record."""
        return StructureError(self.code, self.flaw, f"{name}.{self.path}" if self.path else name)


def read_varint(value: bytes, at: int) -> tuple[int, int]:
    """The zigzag variable-length integer at a position, and the position after it. Raises StructureError."""
    result = shift = 0
    while True:
        if at >= len(value):
            raise StructureError("TRUNCATED", "ends within a number")
        byte = value[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise StructureError("INVALID_FIELD", "a number of more than ten bytes")
    if result >= 2**64:
        raise StructureError("INVALID_FIELD", "a number of more than 64 bits")
    return (result >> 1) ^ -(result & 1), at


def _long(value: bytes, at: int) -> int:
    for end in range(at, min(at + 9, len(value))):  # nine bytes cannot overflow
        if value[end] < 0x80:
            return end + 1
    return read_varint(value, at)[1]


def _int(value: bytes, at: int) -> int:
    number, at = read_varint(value, at)
    if not -(2**31) <= number < 2**31:
        raise StructureError("INVALID_FIELD", f"{number} is not an int of 32 bits")
    return at


def _null(value: bytes, at: int) -> int:
    return at


def _boolean(value: bytes, at: int) -> int:
    at = _sized(value, at, 1)
    if value[at - 1] > 1:
        raise StructureError("INVALID_FIELD", f"{value[at - 1]} is not a boolean, 0 or 1")
    return at


def _sized(value: bytes, at: int, size: int) -> int:
    if at + size > len(value):
        raise StructureError("TRUNCATED", f"needs {size} bytes, {len(value) - at} are left")
    return at + size


def _bytes(value: bytes, at: int) -> int:
    size, at = read_varint(value, at)
    if not 0 <= size <= LENGTH_MAX:
        raise StructureError("INVALID_FIELD", f"{size} is not a length")
    return _sized(value, at, size)


def _string(value: bytes, at: int) -> int:
    if at < len(value):  # Most texts are short and ASCII: one look instead of three calls.
        size = value[at]
        end = at + 1 + (size >> 1)
        if not size & 0x81 and end <= len(value) and value[at + 1 : end].isascii():
            return end
    end = _bytes(value, at)
    start = read_varint(value, at)[1]
    try:
        str(value[start:end], "utf-8")
    except UnicodeDecodeError as error:
        raise StructureError("INVALID_FIELD", f"is not UTF-8: {error.reason} at byte {error.start}") from None
    return end


_PRIMITIVES: Final[dict[str, Walk]] = {
    "null": _null,
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "float": lambda value, at: _sized(value, at, 4),
    "double": lambda value, at: _sized(value, at, 8),
    "bytes": _bytes,
    "string": _string,
}


def _enum(symbols: int) -> Walk:
    def walk(value: bytes, at: int) -> int:
        index, at = read_varint(value, at)
        if not 0 <= index < symbols:
            raise StructureError("INVALID_FIELD", f"symbol {index} of an enum of {symbols}")
        return at

    return walk


def _union(branches: list[Walk]) -> Walk:
    count = len(branches)
    null_first = branches[0] is _null  # as nearly all of ours, and nearly all are null

    def walk(value: bytes, at: int) -> int:
        index = value[at] if at < len(value) else 1
        if not index and null_first:
            return at + 1
        if not index & 0x81 and index >> 1 < count:
            return branches[index >> 1](value, at + 1)
        index, at = read_varint(value, at)
        if not 0 <= index < count:
            raise StructureError("INVALID_FIELD", f"branch {index} of a union of {count}")
        return branches[index](value, at)

    return walk


def _blocks(item: Walk) -> Walk:
    def walk(value: bytes, at: int) -> int:
        while True:
            count, at = read_varint(value, at)
            if count == 0:
                return at
            size = None
            if count < 0:
                count = -count
                size, at = read_varint(value, at)
                if not 0 <= size <= LENGTH_MAX:
                    raise StructureError("INVALID_FIELD", f"{size} is not the size of a block")
                _sized(value, at, size)
            # Items take a byte or more in every schema of ours, so a larger count can only be a lie that costs time.
            if count > LENGTH_MAX:
                raise StructureError("INVALID_FIELD", f"{count} is not a count of items")
            _sized(value, at, count)
            start = at
            for _ in range(count):
                at = item(value, at)
            if size is not None and at - start != size:
                raise StructureError("INVALID_FIELD", f"a block of {at - start} bytes that says {size}")

    return walk


def _record(name: str, fields: list[tuple[str, Walk]]) -> Walk:
    depth = 0

    def walk(value: bytes, at: int) -> int:
        nonlocal depth
        depth += 1
        within = name
        try:
            if depth > DEPTH_MAX:
                raise StructureError("INVALID_FIELD", f"more than {DEPTH_MAX} times within itself")
            for field, step in fields:
                within = field
                at = step(value, at)
        except StructureError as error:
            raise error.within(within) from None
        finally:
            depth -= 1
        return at

    return walk


def compile_walk(schema: Any, named: dict[str, Walk] | None = None) -> Walk:
    """The walk over one value of a schema that fastavro has parsed (names are full names, references are strings)."""
    named = {} if named is None else named
    if isinstance(schema, list):
        return _union([compile_walk(branch, named) for branch in schema])
    if isinstance(schema, str):
        return _PRIMITIVES[schema] if schema in _PRIMITIVES else lambda value, at: named[schema](value, at)
    return _compile_complex(schema, named)


def _compile_complex(schema: Mapping[str, Any], named: dict[str, Walk]) -> Walk:
    kind = schema["type"]
    walk: Walk
    if kind in ("array", "map"):
        item = compile_walk(schema["items" if kind == "array" else "values"], named)
        return _blocks(item if kind == "array" else lambda value, at: item(value, _string(value, at)))
    if kind in ("record", "error"):
        walk = _record(schema["name"], [(each["name"], compile_walk(each["type"], named)) for each in schema["fields"]])
    elif kind == "enum":
        walk = _enum(len(schema["symbols"]))
    elif kind == "fixed":
        size = schema["size"]
        walk = lambda value, at: _sized(value, at, size)  # noqa: E731 (the other branches assign calls)
    else:
        return compile_walk(kind, named)
    named[schema["name"]] = walk
    return walk


def check_structure(walk: Walk, name: str, value: bytes, start: int) -> None:
    """Raise PoisonError unless value[start:] is exactly one record that `walk` accepts."""
    try:
        end = walk(value, start)
    except StructureError as error:
        raise error.within(name) from None
    except RecursionError:
        raise StructureError("INVALID_FIELD", "nested too deep", name) from None
    if end != len(value):
        raise StructureError("TRAILING_BYTES", f"{len(value) - end} bytes after the record", name)
