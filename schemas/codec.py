"""Records to bytes and back, in both wire formats, and never an exception that its caller does not expect.

Written without a schema registry: Avro's single-object encoding. With one: the Confluent wire format, `00` and the
schema's id as 4 bytes big endian. Read: both, and what older producers wrote, resolved to the current contract.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from fastavro import schemaless_reader, schemaless_writer

from schemas.contracts import BY_FINGERPRINT, CONTRACTS, NAMESPACE, SINGLE_OBJECT_MAGIC, Contract
from schemas.poison import DeadLetterCode, PoisonError
from schemas.registry import RegistryUnavailableError, SchemaRegistry
from schemas.structure import Walk, check_structure, compile_walk

CONFLUENT_MAGIC: Final = b"\x00"
_SINGLE_OBJECT_HEADER_SIZE: Final = 10
_CONFLUENT_HEADER_SIZE: Final = 5


class Decoded(NamedTuple):
    """A record that was read: the name of its contract, and its fields as in schemas/records.py."""

    name: str
    record: dict[str, Any]


class Written(NamedTuple):
    """Who wrote a value: the contract by which it was written, and where its body starts."""

    contract: Contract
    body_start: int


class Codec:
    """Writes and reads the values of Kafka records.

    With a registry, a schema that is not known yet is asked for once, on the caller's thread, for at most the
    registry's time-out; then `encode`, `decode`, `written_by` and `header` may raise RegistryUnavailableError, which
    says nothing of the record: try again. `writers` are the schemas that single-object fingerprints may stand for.
    """

    def __init__(
        self, registry: SchemaRegistry | None = None, writers: Mapping[bytes, Contract] = BY_FINGERPRINT
    ) -> None:
        self.registry: Final = registry
        self._writers = writers
        self._headers: dict[tuple[str, str], bytes] = {}
        self._by_id: dict[bytes, Contract] = {}
        self._walks: dict[bytes, Walk] = {}

    def header(self, name: str, topic: str | None = None) -> bytes:
        """What values of this record start with on this topic, 5 or 10 bytes.

        Raises KeyError for no record of ours, ValueError for a registry without a topic, RegistryRejectedError and
        RegistryUnavailableError.
        """
        contract = CONTRACTS[name]
        if self.registry is None:
            return contract.header
        if topic is None:
            raise ValueError(f"{name}: with a schema registry the topic must be named, its subject is <topic>-value")
        header = self._headers.get((name, topic))
        if header is None:
            schema_id = self.registry.register(f"{topic}-value", contract.schema_json)
            header = CONFLUENT_MAGIC + schema_id.to_bytes(4, "big")
            self._headers[name, topic] = header
            self._by_id[header] = contract
        return header

    def encode(self, name: str, record: Mapping[str, Any], topic: str | None = None) -> bytes:
        """A record as the value of a Kafka record. `topic` is needed with a registry only.

        Raises ValueError or TypeError when the record does not fit its contract, and what `header` raises.
        """
        buffer = io.BytesIO()
        buffer.write(self.header(name, topic))
        schemaless_writer(buffer, CONTRACTS[name].parsed, record, strict_allow_default=True)
        return buffer.getvalue()

    def decode(self, value: bytes | None, expected: Collection[str]) -> Decoded:
        """The record that a value holds. `expected` names the records that may be on this topic.

        Raises PoisonError, whatever the bytes are, and nothing else but RegistryUnavailableError.
        """
        written, start = self.written_by(value, expected)
        assert value is not None  # written_by refuses it
        check_structure(self._walk(written), written.name, value, start)
        current = CONTRACTS[written.name]
        buffer = io.BytesIO(value)
        buffer.seek(start)
        try:
            if written.fingerprint == current.fingerprint:
                record: Any = schemaless_reader(buffer, current.parsed, None)
            else:
                record = schemaless_reader(buffer, written.parsed, current.parsed)
        except Exception as error:  # The structure is sound, so it is the schema of a stranger that does not resolve.
            raise PoisonError(
                "INVALID_FIELD", f"{written.name}: what its producer wrote does not resolve to our contract: {error}"
            ) from error
        return Decoded(written.name, record)

    def decode_own(self, value: bytes, name: str) -> dict[str, Any]:
        """The record of a value that this installation has checked or written before: a row of its own tables.

        The bytes are not checked again. Raises PoisonError where another schema wrote it and it does not resolve.
        """
        contract = CONTRACTS[name]
        if not value.startswith(contract.header):
            return self.decode(value, (name,)).record
        buffer = io.BytesIO(value)
        buffer.seek(_SINGLE_OBJECT_HEADER_SIZE)
        record: dict[str, Any] = schemaless_reader(buffer, contract.parsed, None)  # type: ignore[assignment] # of a record
        return record

    def written_by(self, value: bytes | None, expected: Collection[str]) -> Written:
        """Reads the header only. Raises PoisonError and RegistryUnavailableError as `decode` does."""
        if value is None:
            raise PoisonError("NO_VALUE", "the record has no value")
        contract = self._writers.get(value[2:_SINGLE_OBJECT_HEADER_SIZE])
        start = _SINGLE_OBJECT_HEADER_SIZE
        if value[:2] != SINGLE_OBJECT_MAGIC:
            if value[:1] != CONFLUENT_MAGIC and value != b"\xc3":
                raise PoisonError("BAD_MAGIC", f"starts with {value[:2].hex(' ') or 'nothing'}, not with c3 01 or 00")
            contract, start = self._written_by_id(value), _CONFLUENT_HEADER_SIZE
        elif contract is None:
            if len(value) < _SINGLE_OBJECT_HEADER_SIZE:
                raise PoisonError("TRUNCATED", f"{len(value)} bytes, the header alone has 10")
            raise PoisonError("UNKNOWN_SCHEMA", f"no schema has the fingerprint {value[2:10].hex()}")
        if contract.name not in expected:
            raise PoisonError("WRONG_RECORD", f"{contract.name}, expected here: {', '.join(sorted(expected))}")
        return Written(contract, start)

    def body_start(self, value: bytes, name: str) -> int:
        """Where the body starts, 5 or 10, in a value that the current contract of this record wrote; 0 for others.

        Asks no registry: an id that was not met yet is 0.
        """
        contract = CONTRACTS[name]
        if value[:_SINGLE_OBJECT_HEADER_SIZE] == contract.header:
            return _SINGLE_OBJECT_HEADER_SIZE
        written = self._by_id.get(value[:_CONFLUENT_HEADER_SIZE])
        if written is not None and written.fingerprint == contract.fingerprint and written.name == name:
            return _CONFLUENT_HEADER_SIZE
        return 0

    def _walk(self, contract: Contract) -> Walk:
        walk = self._walks.get(contract.fingerprint)
        if walk is None:
            walk = self._walks[contract.fingerprint] = compile_walk(contract.parsed)
        return walk

    def _written_by_id(self, value: bytes) -> Contract:
        header = value[:_CONFLUENT_HEADER_SIZE]
        contract = self._by_id.get(header)
        if contract is not None:
            return contract
        if len(header) < _CONFLUENT_HEADER_SIZE:
            raise PoisonError("TRUNCATED", f"{len(value)} bytes, less than a header")
        schema_id = int.from_bytes(header[1:], "big")
        if self.registry is None:
            raise PoisonError("UNKNOWN_SCHEMA", f"schema id {schema_id} of a registry, and no registry is configured")
        schema = self.registry.schema(schema_id)
        if schema is None:
            raise PoisonError("UNKNOWN_SCHEMA", f"the schema registry knows no schema id {schema_id}")
        contract = _foreign_contract(schema_id, schema)
        try:
            self._walk(contract)
        except RecursionError:
            raise PoisonError("UNKNOWN_SCHEMA", f"schema id {schema_id} is nested too deep") from None
        self._by_id[header] = contract
        return contract


def _foreign_contract(schema_id: int, schema: Any) -> Contract:
    try:
        contract = Contract.of(schema)
        namespaced = contract.parsed["name"].rpartition(".")[0] == NAMESPACE
    except Exception as error:  # A stranger's schema: whatever is wrong with it, it cannot be read by.
        raise PoisonError("UNKNOWN_SCHEMA", f"schema id {schema_id} is not a record of ours: {error}") from error
    if not namespaced or contract.name not in CONTRACTS:
        raise PoisonError("WRONG_RECORD", f"schema id {schema_id} is {contract.parsed['name']}, not a record of ours")
    return contract


__all__ = [
    "Codec",
    "DeadLetterCode",
    "Decoded",
    "PoisonError",
    "RegistryUnavailableError",
    "Written",
]
