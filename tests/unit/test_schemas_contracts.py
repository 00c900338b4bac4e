"""The contracts as they are loaded."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from types import GenericAlias
from typing import Any

import pytest

import schemas
from schemas import records
from schemas.contracts import BY_FINGERPRINT, CONTRACTS, SINGLE_OBJECT_MAGIC, Contract, contract, crc64_avro

AVSC = Path(schemas.__file__).parent / "avsc"


def test_each_file_is_a_contract() -> None:
    """Every .avsc is loaded, under the name of its record."""
    files = {"".join(word.capitalize() for word in file.stem.split("_")) for file in AVSC.glob("*.avsc")}
    assert files == set(CONTRACTS)


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_a_header_is_the_magic_and_the_fingerprint(name: str) -> None:
    """The header of single-object encoding has ten bytes and finds its contract again."""
    found = contract(name)
    assert found.name == name
    assert found.header == SINGLE_OBJECT_MAGIC + found.fingerprint
    assert len(found.header) == 10
    assert BY_FINGERPRINT[found.fingerprint] is found


def test_the_fingerprint_of_the_specification() -> None:
    """The empty text has the fingerprint that the specification names, and "null" that of Avro's own test data."""
    assert crc64_avro(b"") == 0xC15D213AA4D7A795
    assert crc64_avro(b'"null"') == 7195948357588979594
    assert crc64_avro(b'"int"') == 8247732601305521295


def test_another_name_is_no_contract() -> None:
    """Only records of ours have a contract."""
    with pytest.raises(KeyError):
        contract("Header")
    with pytest.raises(ValueError, match="not a record"):
        Contract.of({"type": "enum", "name": "E", "symbols": ["A"]})
    with pytest.raises(ValueError, match="not a record"):
        Contract.of("string")


def _documented(schema: Any) -> Iterator[tuple[str, bool]]:
    if isinstance(schema, list):
        for branch in schema:
            yield from _documented(branch)
    elif isinstance(schema, dict):
        if "name" in schema:
            yield schema["name"], bool(schema.get("doc"))
        for field in schema.get("fields", ()):
            yield f"{schema['name']}.{field['name']}", bool(field.get("doc"))
            yield from _documented(field["type"])
        for key in ("items", "values"):
            yield from _documented(schema.get(key))


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_every_field_is_documented(name: str) -> None:
    """Each record, enum and field says what it is."""
    assert [place for place, documented in _documented(CONTRACTS[name].schema) if not documented] == []


def _definitions(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, list):
        for branch in schema:
            yield from _definitions(branch)
    elif isinstance(schema, dict):
        if "name" in schema:
            yield schema
        for field in schema.get("fields", ()):
            yield from _definitions(field["type"])
        for key in ("items", "values"):
            yield from _definitions(schema.get(key))


DEFINITIONS = {
    definition["name"].rpartition(".")[2]: definition
    for each in CONTRACTS.values()
    for definition in _definitions(each.schema)
}
RECORDS = sorted(name for name, definition in DEFINITIONS.items() if definition["type"] == "record")
ENUMS = sorted(name for name, definition in DEFINITIONS.items() if definition["type"] == "enum")

_PYTHON: dict[str, Any] = {
    "string": str,
    "bytes": bytes,
    "int": int,
    "long": int,
    "boolean": bool,
    "null": type(None),
}


def _python(schema: Any) -> Any:
    """The Python type by which a value of the schema is annotated."""
    if isinstance(schema, list):
        first, second = (_python(branch) for branch in schema if branch != "null"), _python("null")
        return typing.Union[(*first, second)]
    if isinstance(schema, str):
        return _PYTHON.get(schema) or getattr(records, schema.rpartition(".")[2])
    if "name" in schema:
        return getattr(records, schema["name"].rpartition(".")[2])
    if schema["type"] == "array":
        return GenericAlias(list, (_python(schema["items"]),))
    if schema["type"] == "map":
        return GenericAlias(dict, (str, _python(schema["values"])))
    return _python(schema["type"])


@pytest.mark.parametrize("name", RECORDS)
def test_the_typed_records_are_the_contracts(name: str) -> None:
    """Each record has a TypedDict with the same fields in the same order; those with a default may be left out."""
    typed = getattr(records, name)
    fields = DEFINITIONS[name]["fields"]
    assert typing.get_type_hints(typed) == {field["name"]: _python(field["type"]) for field in fields}
    assert list(typed.__annotations__) == [field["name"] for field in fields]
    assert typed.__optional_keys__ == {field["name"] for field in fields if "default" in field}


@pytest.mark.parametrize("name", ENUMS)
def test_the_literals_are_the_symbols_of_the_contracts(name: str) -> None:
    """Each enum has a Literal with the same symbols in the same order."""
    assert list(typing.get_args(getattr(records, name))) == DEFINITIONS[name]["symbols"]


def test_the_final_states_are_those_that_the_contract_names() -> None:
    """The doc of State lists the final states, and FINAL_STATES is that list."""
    final = DEFINITIONS["State"]["doc"].removeprefix("Final: ").partition(".")[0]
    assert set(final.split(", ")) == records.FINAL_STATES
