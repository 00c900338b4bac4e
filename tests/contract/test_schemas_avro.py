"""Our bytes, fingerprints and canonical forms are those of Apache's own `avro` package."""

from __future__ import annotations

import io
import json
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import avro.errors
import avro.io
import avro.name
import avro.schema
import pytest
from hypothesis import given, settings

import schemas
from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from tests.properties.codec_records import NAMES, named_records

AVSC = Path(schemas.__file__).parent / "avsc"
CODEC = Codec()
# As schemas/README.md gives it: a file that refers to another comes after it.
LOADING_ORDER = ["notification", "delivery", "audit_entry", "broadcast", "broadcast_control", "broadcast_progress",
                 "broadcast_report", "broadcast_users", "cancel", "cap_state", "dead_letter", "deferral",
                 "delivery_state", "device_change", "devices", "devices_echo", "due", "forget", "forget_answer",
                 "local_deferral", "move", "preferences", "profile", "replay", "retry", "schedule_answer",
                 "schedule_ledger", "seen_block", "slot", "status", "template", "verdict"]  # fmt: skip


def apache(name: str) -> avro.schema.Schema:
    """The contract as Apache's package reads it, without logical types, so that instants are integers there too."""
    return avro.schema.parse(json.dumps(CONTRACTS[name].parsed))


APACHE = {name: apache(name) for name in NAMES}


@settings(deadline=None)  # Apache's package validates each field in Python.
@given(named_records)
def test_bytes_are_those_of_the_avro_package(named: tuple[str, dict[str, Any]]) -> None:
    """Both write the same bytes for a record and read those of the other."""
    name, record = named
    buffer = io.BytesIO()
    avro.io.DatumWriter(APACHE[name]).write(record, avro.io.BinaryEncoder(buffer))
    value = CODEC.encode(name, record)
    assert value == CONTRACTS[name].header + buffer.getvalue()
    assert CODEC.decode(CONTRACTS[name].header + buffer.getvalue(), [name]).record == record
    decoder = avro.io.BinaryDecoder(io.BytesIO(value[10:]))
    assert avro.io.DatumReader(APACHE[name]).read(decoder) == record


@pytest.mark.parametrize("name", NAMES)
def test_fingerprints_are_those_of_the_avro_package(name: str) -> None:
    """The canonical form and the fingerprint of each contract are those of Apache's implementation."""
    assert APACHE[name].canonical_form == CONTRACTS[name].canonical
    assert APACHE[name].fingerprint("CRC-64-AVRO") == CONTRACTS[name].fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_logical_types_do_not_change_a_fingerprint(name: str) -> None:
    """The published schema, with docs and logical types, has the same canonical form, as the specification's rules say.

    Apache's Python package strips the logical type but leaves {"type":"long"}, which rule PRIMITIVES turns into "long"
    (Java does); this is the only difference.
    """
    published = avro.schema.parse(CONTRACTS[name].schema_json).canonical_form
    assert published.replace('{"type":"long"}', '"long"') == CONTRACTS[name].canonical


def test_instants_are_timestamps_for_readers_that_know_logical_types() -> None:
    """What we write as milliseconds, a reader of the published schema sees as an instant in UTC."""
    value = CODEC.encode("Verdict", {"notification_id": "n", "user_id": "u", "type": "t", "outcome": "FREED",
                                     "at": 1_700_000_000_123})  # fmt: skip
    reader = avro.io.DatumReader(avro.schema.parse(CONTRACTS["Verdict"].schema_json))
    record: Any = reader.read(avro.io.BinaryDecoder(io.BytesIO(value[10:])))
    assert record["at"] == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)


def test_every_file_is_read_in_the_documented_order() -> None:
    """Each .avsc is loadable after the files that it refers to, in the order that schemas/README.md gives."""
    assert sorted(LOADING_ORDER) == sorted(file.stem for file in AVSC.glob("*.avsc"))
    readme = (AVSC.parent / "README.md").read_text(encoding="utf-8")
    assert ", ".join(f"`{stem}`" for stem in LOADING_ORDER) in " ".join(readme.split())
    names = avro.name.Names()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for stem in LOADING_ORDER:
            text = (AVSC / f"{stem}.avsc").read_text(encoding="utf-8")
            schema = avro.schema.make_avsc_object(json.loads(text), names)
            assert isinstance(schema, avro.schema.RecordSchema)
            assert schema.name in CONTRACTS


@pytest.mark.parametrize("stem", ["deferral", "delivery", "due", "local_deferral", "retry"])
def test_a_file_that_refers_to_another_needs_it(stem: str) -> None:
    """The five files that hold another record are not readable alone, which is why the order is documented."""
    with pytest.raises(avro.errors.SchemaParseException):
        avro.schema.parse((AVSC / f"{stem}.avsc").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_gives_the_fingerprint(name: str) -> None:
    """What producers in other languages copy from schemas/README.md is what workers expect."""
    readme = (AVSC.parent / "README.md").read_text(encoding="utf-8")
    (row,) = (line for line in readme.splitlines() if line.startswith(f"| {name} |"))
    assert row.endswith(f"| `{CONTRACTS[name].fingerprint.hex()}` |")
