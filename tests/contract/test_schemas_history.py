"""What producers wrote by an earlier version of a contract stays readable, and what we write by a later one too."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from fastavro import schemaless_writer

from schemas.codec import Codec
from schemas.contracts import BY_FINGERPRINT, CONTRACTS, HISTORY, Contract, by_fingerprint, load_history
from schemas.freeze import freeze
from schemas.notification import (
    RE_ENCODE,
    current_body,
    notification_body,
    read_due_head,
    read_head,
    read_heads,
)
from schemas.poison import PoisonError

PUBLISHED = Path(__file__).with_name("published_fingerprints.json")


def reads(reader: Contract, writer: Contract) -> bool:
    """Whether Apache's rules let the one read what the other wrote."""
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]  # Apache's package is half typed.
    answer = checker.get_compatibility(avro.schema.parse(reader.schema_json), avro.schema.parse(writer.schema_json))
    return answer.compatibility is SchemaCompatibilityType.compatible


def changed(name: str, change: Callable[[list[dict[str, Any]]], object]) -> Contract:
    """The current contract with its list of fields changed."""
    schema = copy.deepcopy(dict(CONTRACTS[name].schema))
    change(schema["fields"])
    return Contract.of(schema)


def symbols_of(schema: Any) -> dict[str, list[str]]:
    """The symbols of each enum in a schema."""
    if isinstance(schema, list):
        return {name: symbols for branch in schema for name, symbols in symbols_of(branch).items()}
    if not isinstance(schema, Mapping):
        return {}
    if schema.get("type") == "enum":
        return {schema["name"]: list(schema["symbols"])}
    return {name: symbols for each in schema.values() for name, symbols in symbols_of(each).items()}


def without_symbols(schema: Any, known: Mapping[str, list[str]]) -> Any:
    """The schema as far as a reader goes that knows only these symbols of its enums."""
    if isinstance(schema, list):
        return [without_symbols(branch, known) for branch in schema]
    if not isinstance(schema, Mapping):
        return schema
    if schema.get("type") == "enum" and schema["name"] in known:
        return {**schema, "symbols": known[schema["name"]]}
    return {key: without_symbols(value, known) for key, value in schema.items()}


def written(contract: Contract, record: dict[str, Any]) -> bytes:
    """The value that a producer with this version writes."""
    buffer = io.BytesIO()
    buffer.write(contract.header)
    schemaless_writer(buffer, contract.parsed, record)
    return buffer.getvalue()


OLDER = changed("Notification", lambda fields: fields.remove(next(f for f in fields if f["name"] == "expires_at")))
NEWER = changed(
    "Notification",
    lambda fields: fields.insert(3, {"name": "priority", "type": ["null", "string"], "default": None, "doc": "New."}),
)
NOTIFICATION: dict[str, Any] = {
    "notification_id": "n-1",
    "user_id": "u",
    "type": "t",
    "created_at": 1_700_000_000_000,
    "send_at": 1_700_000_000_001,
    "expires_at": None,
    "send_at_local": None,
    "time_zone": None,
    "title": "Grüße",
    "body": None,
    "data": {"a": "b"},
}


@pytest.mark.parametrize("other", [OLDER, NEWER], ids=["older", "newer"])
def test_a_field_with_a_default_is_compatible_both_ways(other: Contract) -> None:
    """Producers and consumers may be upgraded in any order when a field with a default is added."""
    assert other.fingerprint != CONTRACTS["Notification"].fingerprint
    assert reads(CONTRACTS["Notification"], other)
    assert reads(other, CONTRACTS["Notification"])


def test_a_field_without_a_default_is_not_compatible() -> None:
    """The check that guards the history can fail."""
    demanding = changed("Notification", lambda fields: fields.append({"name": "colour", "type": "string", "doc": "x"}))
    assert not reads(demanding, CONTRACTS["Notification"])


@pytest.mark.parametrize("other", [OLDER, NEWER], ids=["older", "newer"])
def test_what_another_version_wrote_is_read_as_the_current_record(other: Contract) -> None:
    """A value of an older or newer producer has the current fields, and its body is written anew."""
    codec = Codec(writers=by_fingerprint({"Notification": [other]}))
    value = written(other, NOTIFICATION | {"priority": "high"})
    assert codec.decode(value, {"Notification"}) == ("Notification", NOTIFICATION)
    head = read_head(value, b"u:t", codec)
    assert head == (b"n-1", 1_700_000_000_001, None, RE_ENCODE, None)
    assert notification_body(value) is None
    body = current_body(codec, value)
    assert CONTRACTS["Notification"].header + body == codec.encode("Notification", NOTIFICATION)


@pytest.mark.parametrize("other", [OLDER, NEWER], ids=["older", "newer"])
def test_poison_of_another_version_is_still_poison(other: Contract) -> None:
    """Truncation, trailing bytes and a wrong key are found in other versions too; an unknown version is named."""
    codec = Codec(writers=by_fingerprint({"Notification": [other]}))
    value = written(other, NOTIFICATION)
    answers = read_heads([value[:-1], value + b"\x00", value, value], [b"u:t", b"u:t", b"u:x", None], codec)
    assert [answer.code for answer in answers if isinstance(answer, PoisonError)] == [
        "TRUNCATED",
        "TRAILING_BYTES",
        "KEY_MISMATCH",
        "NO_KEY",
    ]
    (unknown,) = read_heads([value], [b"u:t"])
    assert isinstance(unknown, PoisonError)
    assert unknown.code == "UNKNOWN_SCHEMA"


def test_a_due_that_holds_another_version_is_read() -> None:
    """A Due of an older worker holds an older Notification: its head is read and its body is written anew."""
    schema = copy.deepcopy(dict(CONTRACTS["Due"].schema))
    schema["fields"][-1]["type"] = dict(OLDER.schema)
    older_due = Contract.of(schema)
    codec = Codec(writers=by_fingerprint({"Due": [older_due]}))
    own = {"due_at": 5, "released_at": 6, "origin_partition": 7, "origin_offset": 8}
    value = written(older_due, own | {"notification": NOTIFICATION})
    assert read_due_head(value, b"u:t", codec) == (5, 6, 7, 8, (b"n-1", 1_700_000_000_001, None, RE_ENCODE, None))
    body = current_body(codec, value)
    assert CONTRACTS["Notification"].header + body == codec.encode("Notification", NOTIFICATION)


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_the_current_contract_reads_every_kept_version(name: str) -> None:
    """Each version in schemas/avsc/history/ is readable by the current one, and the newest one can read it in turn, all
    but symbols that it does not know."""
    for version in HISTORY.get(name, ()):
        assert reads(CONTRACTS[name], version)
    if HISTORY.get(name):
        newest = HISTORY[name][-1]
        assert reads(newest, Contract.of(without_symbols(CONTRACTS[name].schema, symbols_of(newest.schema))))


def test_only_symbols_at_the_end_are_new() -> None:
    """A symbol is written as its number, so those that there were keep theirs."""
    old, new = ({"type": "enum", "name": "E", "symbols": symbols} for symbols in (["A", "B"], ["A", "B", "C"]))
    assert without_symbols(new, symbols_of(old)) == old
    for name, versions in HISTORY.items():
        for enum, symbols in symbols_of(versions[-1].schema).items():
            assert symbols_of(CONTRACTS[name].schema)[enum][: len(symbols)] == symbols


def test_published_contracts_are_never_forgotten() -> None:
    """Every fingerprint that was ever published is still readable, and the current ones are on the list."""
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    forgotten = {
        name: text
        for name, versions in published.items()
        for text in versions
        if bytes.fromhex(text) not in BY_FINGERPRINT
    }
    assert forgotten == {}, "a contract was changed without `python -m schemas.freeze` before (schemas/README.md)"
    current = {name: contract.fingerprint.hex() for name, contract in CONTRACTS.items()}
    assert {name: versions[-1] for name, versions in published.items()} == current, f"append it to {PUBLISHED.name}"


def test_freezing_keeps_each_contract_once(tmp_path: Path) -> None:
    """`python -m schemas.freeze` keeps all contracts, self-contained, and does nothing the second time."""
    files = freeze(tmp_path)
    assert len(files) == len(CONTRACTS)
    assert tmp_path / "dead_letter" / "1.avsc" in files
    kept = load_history(tmp_path)
    assert {name: [each.fingerprint for each in versions] for name, versions in kept.items()} == {
        name: [contract.fingerprint] for name, contract in CONTRACTS.items()
    }
    assert freeze(tmp_path) == []


def test_freezing_adds_a_version_when_the_newest_differs(tmp_path: Path) -> None:
    """The next version has the next number, and versions are in their order beyond nine."""
    folder = tmp_path / "notification"
    folder.mkdir()
    for number in range(1, 11):
        (folder / f"{number}.avsc").write_text((OLDER if number < 10 else NEWER).schema_json, encoding="utf-8")
    assert folder / "11.avsc" in freeze(tmp_path)
    versions = load_history(tmp_path)["Notification"]
    assert [each.fingerprint for each in versions[-2:]] == [NEWER.fingerprint, CONTRACTS["Notification"].fingerprint]
