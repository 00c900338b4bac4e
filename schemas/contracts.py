"""The contracts: every record of schemas/avsc/, parsed, with the header that its values carry.

A value is written in Avro's single-object encoding (Avro 1.12 specification, "Single object encoding"): the two bytes
`C3 01`, the CRC-64-AVRO fingerprint of the writer's schema in Parsing Canonical Form, little endian, then the body.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any, Final

from fastavro import parse_schema
from fastavro.schema import to_parsing_canonical_form

NAMESPACE: Final = "ringonce"
SINGLE_OBJECT_MAGIC: Final = b"\xc3\x01"

_EMPTY: Final = 0xC15D213AA4D7A795  # Avro specification, "Schema Fingerprints": the fingerprint of the empty text


def _fingerprint_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_EMPTY if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE: Final = _fingerprint_table()


def crc64_avro(text: bytes) -> int:
    """The 64-bit Rabin fingerprint of the Avro specification, section "Schema Fingerprints"."""
    value = _EMPTY
    for byte in text:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value


@dataclass(frozen=True, slots=True, repr=False)
class Contract:
    """One version of one record.

    `schema` is the published schema as JSON, self-contained (referenced records stand inside). `parsed` is the same
    for fastavro to read and write with, without logical types, so that instants are integers in milliseconds; the
    fingerprint is the same, because the canonical form holds no logical types.
    """

    name: str
    schema: Mapping[str, Any]
    parsed: dict[str, Any] = field(compare=False)
    canonical: str
    fingerprint: bytes
    header: bytes

    @property
    def schema_json(self) -> str:
        """The published schema as text: what is registered at a schema registry."""
        return json.dumps(self.schema, ensure_ascii=False)

    def __repr__(self) -> str:
        return f"Contract({self.name}, {self.fingerprint.hex()})"

    @classmethod
    def of(cls, schema: Any) -> Contract:
        """The contract of a self-contained record schema, as JSON. Raises ValueError or fastavro's errors."""
        if not isinstance(schema, dict) or schema.get("type") != "record" or "fields" not in schema:
            raise ValueError(f"not a record: {str(schema)[:200]}")
        parsed: Any = parse_schema(_without_logical_types(schema))
        canonical = to_parsing_canonical_form(parsed)
        fingerprint = crc64_avro(canonical.encode()).to_bytes(8, "little")
        name = parsed["name"].rpartition(".")[2]
        return cls(name, schema, parsed, canonical, fingerprint, SINGLE_OBJECT_MAGIC + fingerprint)


def contract(name: str) -> Contract:
    """The current contract of a record by its name, such as "Notification". Raises KeyError for any other."""
    return CONTRACTS[name]


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    if isinstance(schema, list):
        return [_without_logical_types(branch) for branch in schema]
    return schema


def _read_json(folder: Traversable) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".avsc"):
            yield file.name, json.loads(file.read_text(encoding="utf-8"))


def _defined_names(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for branch in schema:
            yield from _defined_names(branch)
    elif isinstance(schema, dict):
        if schema["type"] in ("record", "enum", "fixed"):
            yield schema["name"]
        for child in schema.get("fields", ()):
            yield from _defined_names(child["type"])
        for key in ("type", "items", "values"):
            if isinstance(schema.get(key), dict | list):
                yield from _defined_names(schema[key])


def _inlined(schema: Any, sources: Mapping[str, dict[str, Any]], defined: set[str]) -> Any:
    """The schema with each referenced record written out where it is first used, as Avro demands."""
    if isinstance(schema, str):
        name = schema.removeprefix(f"{NAMESPACE}.")
        if name in sources and name not in defined:
            return _inlined(copy.deepcopy(sources[name]), sources, defined)
        return schema
    if isinstance(schema, list):
        return [_inlined(branch, sources, defined) for branch in schema]
    defined.update(_defined_names({**schema, "fields": ()}))
    written = dict(schema)
    if "fields" in schema:
        written["fields"] = [{**child, "type": _inlined(child["type"], sources, defined)} for child in schema["fields"]]
    for key in ("items", "values", "type"):
        if isinstance(schema.get(key), dict | list) or (key != "type" and key in schema):
            written[key] = _inlined(schema[key], sources, defined)
    return written


def _load_current() -> dict[str, Contract]:
    folder = files("schemas").joinpath("avsc")
    sources = {schema["name"]: schema for _, schema in _read_json(folder)}
    return {name: Contract.of(_inlined(schema, sources, set())) for name, schema in sources.items()}


def load_history(folder: Traversable) -> dict[str, tuple[Contract, ...]]:
    """The earlier versions by the name of the record, oldest first: self-contained, <folder>/<record>/<n>.avsc."""
    history: dict[str, tuple[Contract, ...]] = {}
    for record in folder.iterdir() if folder.is_dir() else ():
        if record.is_dir():
            versions = sorted(_read_json(record), key=lambda entry: int(entry[0].removesuffix(".avsc")))
            contracts = tuple(Contract.of(schema) for _, schema in versions)
            history[contracts[-1].name] = contracts
    return history


def by_fingerprint(history: Mapping[str, Iterable[Contract]]) -> dict[bytes, Contract]:
    """Every contract that a producer may have written by, the current ones and these, by its fingerprint."""
    known = (*(old for versions in history.values() for old in versions), *CONTRACTS.values())
    return {each.fingerprint: each for each in known}


CONTRACTS: Final[Mapping[str, Contract]] = MappingProxyType(_load_current())
HISTORY: Final[Mapping[str, tuple[Contract, ...]]] = MappingProxyType(
    load_history(files("schemas").joinpath("avsc", "history"))
)
BY_FINGERPRINT: Final[Mapping[bytes, Contract]] = MappingProxyType(by_fingerprint(HISTORY))
