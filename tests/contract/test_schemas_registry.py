"""The client of the schema registry, against a small real one: a strict subset of Confluent's API over HTTP."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.notification import current_body, notification_body, read_head, read_heads
from schemas.poison import PoisonError
from schemas.registry import RegistryRejectedError, RegistryUnavailableError, SchemaRegistry
from streams.stages.delivery_rows import read_devices
from streams.stages.directory_rows import directory_row, read_preferences
from tests.simulation.memory_log import LogRecord

VENDOR = "application/vnd.schemaregistry.v1+json"
NOTIFICATION: dict[str, Any] = {
    "notification_id": "n", "user_id": "u", "type": "t", "created_at": 1_700_000_000_000,
    "send_at": None, "expires_at": None, "send_at_local": None, "time_zone": None, "title": None, "body": None,
    "data": {"k": "v"},
}  # fmt: skip


class Registry(ThreadingHTTPServer):
    """Subjects with versions, ids that are the same for the same schema, and a record of what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RegistryRequest)
        self.schemas: dict[int, dict[str, Any]] = {}
        self.subjects: dict[str, list[int]] = {}
        self.requests: list[str] = []
        self.authorization: str | None = None
        self.incompatible = False
        self.broken: tuple[int, bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, schema: dict[str, Any], subject: str | None = None) -> int:
        known = next((number for number, each in self.schemas.items() if each == schema), len(self.schemas) + 1)
        self.schemas[known] = schema
        if subject is not None and known not in self.subjects.setdefault(subject, []):
            self.subjects[subject].append(known)
        return known


class RegistryRequest(BaseHTTPRequestHandler):
    server: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self._admitted():
            return
        if found := re.fullmatch(r"/schemas/ids/(\d+)", self.path):
            schema = self.server.schemas.get(int(found[1]))
            self._answer(404, {"error_code": 40403, "message": "Schema not found"}) if schema is None else self._answer(
                200, schema
            )
        elif found := re.fullmatch(r"/subjects/([^/]+)/versions/(\d+)", self.path):
            number = self.server.subjects[found[1]][int(found[2]) - 1]
            self._answer(
                200, {"subject": found[1], "id": number, "version": int(found[2])} | self.server.schemas[number]
            )
        else:
            self._answer(404, {"error_code": 404, "message": "HTTP 404 Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._admitted():
            return
        assert self.headers["Content-Type"] == VENDOR
        assert set(body) == {"schema", "schemaType"} and body["schemaType"] == "AVRO"
        found = re.fullmatch(r"/subjects/([^/]+)(/versions)?", self.path)
        assert found, self.path
        if self.server.incompatible:
            self._answer(409, {"error_code": 409, "message": "Schema being registered is incompatible"})
        elif found[2]:
            self._answer(200, {"id": self.server.add({"schema": body["schema"]}, found[1])})
        elif found[1] not in self.server.subjects:
            self._answer(404, {"error_code": 40401, "message": f"Subject '{found[1]}' not found."})
        else:
            number = self.server.add({"schema": body["schema"]}, found[1])
            self._answer(200, {"subject": found[1], "id": number, "version": 1, "schema": body["schema"]})

    def _admitted(self) -> bool:
        self.server.requests.append(f"{self.command} {self.path}")
        if self.server.broken is not None:
            status, text = self.server.broken
            self._send(status, text)
            return False
        if self.server.authorization not in (None, self.headers["Authorization"]):
            self._answer(401, {"error_code": 401, "message": "Unauthorized"})
            return False
        return True

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        self._send(status, json.dumps(answer).encode())

    def _send(self, status: int, text: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", VENDOR)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests look at `requests`."""


@pytest.fixture
def server() -> Iterator[Registry]:
    with Registry() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.fixture
def registry(server: Registry) -> Iterator[SchemaRegistry]:
    with SchemaRegistry(server.url, timeout_seconds=5) as registry:
        yield registry


def confluent(schema_id: int, value: bytes) -> bytes:
    """A value in single-object encoding as it is in the Confluent wire format."""
    return b"\x00" + schema_id.to_bytes(4, "big") + value[10:]


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_every_contract_is_registered_whole(server: Registry, registry: SchemaRegistry, name: str) -> None:
    """A contract is registered self-contained under <topic>-value, with its docs and logical types."""
    header = Codec(registry).header(name, "some.topic")
    assert header == b"\x00\x00\x00\x00\x01"
    assert server.subjects == {"some.topic-value": [1]}
    assert json.loads(server.schemas[1]["schema"]) == CONTRACTS[name].schema


def test_values_are_written_with_the_id_and_read_by_another(server: Registry, registry: SchemaRegistry) -> None:
    """With a registry a value is `00`, the id and the body; another worker reads it, and asks once."""
    value = Codec(registry).encode("Notification", NOTIFICATION, "notifications")
    assert value == confluent(1, Codec().encode("Notification", NOTIFICATION))
    with SchemaRegistry(server.url) as other:
        reader = Codec(other)
        for _ in range(3):
            assert reader.decode(value, ["Notification"]) == ("Notification", NOTIFICATION)
    assert server.requests == ["POST /subjects/notifications-value/versions", "GET /schemas/ids/1"]


def test_single_object_encoding_is_read_with_a_registry_too(server: Registry, registry: SchemaRegistry) -> None:
    """Readers take both wire formats, and ask the registry for nothing that they know."""
    value = Codec().encode("Notification", NOTIFICATION)
    assert Codec(registry).decode(value, ["Notification"]).record == NOTIFICATION
    assert server.requests == []


def test_heads_are_read_from_the_confluent_format(server: Registry, registry: SchemaRegistry) -> None:
    """A current record with an id has a head and a body that can be embedded as it is, 5 bytes from its start."""
    plain = Codec().encode("Notification", NOTIFICATION)
    server.add({"schema": CONTRACTS["Notification"].schema_json}, "notifications-value")
    codec, value = Codec(registry), confluent(1, plain)
    for _ in ("through the complete path", "with the id known"):
        assert read_head(value, b"u:t", codec) == (b"n", None, None, 5, None)
    assert current_body(codec, value) == notification_body(plain)
    flawed = read_heads(
        [value[:-1], value + b"x", value, b"\x00\x00\x00\x00\x09"], [b"u:t", b"u:t", b"u:x", b""], codec
    )
    assert [each.code for each in flawed if isinstance(each, PoisonError)] == [
        "TRUNCATED", "TRAILING_BYTES", "KEY_MISMATCH", "UNKNOWN_SCHEMA",
    ]  # fmt: skip


def test_an_older_version_is_resolved(server: Registry, registry: SchemaRegistry) -> None:
    """What a producer wrote by a version that lacks a field has that field's default."""
    older = json.loads(CONTRACTS["Notification"].schema_json)
    older["fields"] = [field for field in older["fields"] if field["name"] not in ("title", "data")]
    schema_id = server.add({"schema": json.dumps(older)})
    value = b"\x00" + schema_id.to_bytes(4, "big") + b"\x02n\x02u\x02t\x02" + bytes(5)
    record = Codec(registry).decode(value, ["Notification"]).record
    assert (record["title"], record["data"], record["created_at"]) == (None, {}, 1)


def test_references_are_followed(server: Registry, registry: SchemaRegistry) -> None:
    """A schema that refers to one of another subject is put together."""
    server.add({"schema": CONTRACTS["Notification"].schema_json}, "notification")
    due = json.loads(CONTRACTS["Due"].schema_json)
    due["fields"][-1]["type"] = "ringonce.Notification"
    reference = {"name": "ringonce.Notification", "subject": "notification", "version": 1}
    schema_id = server.add({"schema": json.dumps(due), "references": [reference]})
    record = {"due_at": 1, "released_at": 2, "origin_partition": 3, "origin_offset": 4, "notification": NOTIFICATION}
    value = confluent(schema_id, Codec().encode("Due", record))
    codec = Codec(registry)
    assert codec.decode(value, ["Due"]).record == record
    assert codec.body_start(value, "Due") == 5


def poison_of(codec: Codec, value: bytes) -> str:
    with pytest.raises(PoisonError) as caught:
        codec.decode(value, ["Notification"])
    return caught.value.code


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_id_that_nobody_knows_is_poison_and_asked_for_seldom(server: Registry) -> None:
    """A made-up id is UNKNOWN_SCHEMA; a flood of them asks once in half a minute, in case it is registered later."""
    clock = Clock()
    with SchemaRegistry(server.url, clock=clock) as registry:
        codec, value = Codec(registry), confluent(1, Codec().encode("Notification", NOTIFICATION))
        assert [poison_of(codec, value) for _ in range(3)] == ["UNKNOWN_SCHEMA"] * 3
        assert server.requests == ["GET /schemas/ids/1"]
        server.add({"schema": CONTRACTS["Notification"].schema_json})
        clock.now += 31
        assert codec.decode(value, ["Notification"]).record == NOTIFICATION


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ({"schema": '"string"'}, "UNKNOWN_SCHEMA"),
        ({"schema": '{"type": "record", "name": "ringonce.Notification"}'}, "UNKNOWN_SCHEMA"),
        ({"schema": '{"type": "record", "name": "ringonce.Notification", "fields": [{"name": "a", "type": "nil"}]}'},
         "UNKNOWN_SCHEMA"),
        ({"schema": 'message Notification {}', "schemaType": "PROTOBUF"}, "UNKNOWN_SCHEMA"),
        ({"schema": '{"type": "record", "name": "com.acme.Notification", "fields": []}'}, "WRONG_RECORD"),
        ({"schema": CONTRACTS["Slot"].schema_json}, "WRONG_RECORD"),
        ({"schema": '{"type": "record", "name": "ringonce.Notification", "fields": []}'}, "TRAILING_BYTES"),
        ({"schema": '{"type": "record", "name": "ringonce.Notification", "fields": [{"name": "a", "type": "long"}, '
                    '{"name": "b", "type": {"type": "fixed", "name": "F", "size": 21}}]}'}, "INVALID_FIELD"),
        ({"schema": "[" * 2000 + "]" * 2000}, "UNKNOWN_SCHEMA"),
    ],
)  # fmt: skip
def test_the_schema_of_a_stranger_is_poison(
    server: Registry, registry: SchemaRegistry, schema: dict[str, Any], code: str
) -> None:
    """Whatever a registry holds under an id, a value by it is a record of ours or poison."""
    value = confluent(server.add(schema), bytes(10) + b"\x02n\x02u\x02t" + b"\x02" * 16)
    assert poison_of(Codec(registry), value) == code


@pytest.mark.parametrize("depth", [20, 100, 200, 300, 500, 700, 900])
def test_the_deep_schema_of_a_stranger_is_poison(server: Registry, registry: SchemaRegistry, depth: int) -> None:
    """However deep a schema is nested, where the interpreter's stack ends is poison, not a crash."""
    nested = '{"type": "array", "items": ' * depth + '"int"' + "}" * depth
    fields = f'[{{"name": "a", "type": {nested}}}]'
    schema_id = server.add({"schema": f'{{"type": "record", "name": "ringonce.Notification", "fields": {fields}}}'})
    sound = b"\x00" + schema_id.to_bytes(4, "big") + b"\x02" * (depth + 1) + bytes(depth)
    assert poison_of(Codec(registry), sound) in ("UNKNOWN_SCHEMA", "INVALID_FIELD")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (500, b"{}"),
        (503, b"busy"),
        (429, b""),
        (301, b""),
        (404, b"<html>no such page</html>"),
        (404, b'{"error_code": 404}'),
        (200, b"<html>hello</html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"schema": "not json"}'),
    ],
)
def test_an_answer_that_says_nothing_is_not_poison(
    server: Registry, registry: SchemaRegistry, status: int, text: bytes
) -> None:
    """A registry in trouble, or a proxy in its place, proves nothing about a record: it is retried, not buried."""
    server.broken = status, text
    codec, value = Codec(registry), confluent(1, Codec().encode("Notification", NOTIFICATION))
    with pytest.raises(RegistryUnavailableError, match=r"127\.0\.0\.1"):
        codec.decode(value, ["Notification"])
    with pytest.raises(RegistryUnavailableError):
        read_heads([value], [b"u:t"], codec)
    if text != b'{"error_code": 404}' and status != 404:
        with pytest.raises(RegistryUnavailableError):
            codec.encode("Notification", NOTIFICATION, "notifications")
    server.broken = None
    server.add({"schema": CONTRACTS["Notification"].schema_json})
    assert codec.decode(value, ["Notification"]).record == NOTIFICATION


def test_nobody_listening_is_unavailable() -> None:
    """A registry that is down is retried."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with SchemaRegistry(url, timeout_seconds=2) as registry, pytest.raises(RegistryUnavailableError):
            registry.schema(1)


def test_a_silent_registry_is_unavailable() -> None:
    """A registry that accepts and never answers holds the caller for the time-out at most."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            SchemaRegistry(url, timeout_seconds=0.2) as registry,
            pytest.raises(RegistryUnavailableError, match="Timeout"),
        ):
            registry.schema(1)


def test_a_refused_schema_is_for_a_person(server: Registry, registry: SchemaRegistry) -> None:
    """An incompatible subject, or a schema that nobody registered where registering is off, is said and not retried."""
    server.incompatible = True
    with pytest.raises(RegistryRejectedError, match=r"notifications-value: .*incompatible"):
        Codec(registry).encode("Notification", NOTIFICATION, "notifications")
    server.incompatible = False
    with SchemaRegistry(server.url, auto_register=False) as lookup:
        with pytest.raises(RegistryRejectedError, match="not found"):
            Codec(lookup).encode("Notification", NOTIFICATION, "notifications")
        server.add({"schema": CONTRACTS["Notification"].schema_json}, "notifications-value")
        assert Codec(lookup).header("Notification", "notifications") == b"\x00\x00\x00\x00\x01"
    assert server.requests[-1] == "POST /subjects/notifications-value"


def test_a_topic_must_be_named_with_a_registry(registry: SchemaRegistry) -> None:
    """The subject is that of the topic, so encoding without one is an error of the caller."""
    with pytest.raises(ValueError, match="topic"):
        Codec(registry).encode("Notification", NOTIFICATION)


def test_credentials_are_sent(server: Registry) -> None:
    """Basic and bearer authentication are understood; being kept out is not the record's fault."""
    server.add({"schema": CONTRACTS["Notification"].schema_json})
    server.authorization = "Basic " + base64.b64encode(b"user:secret").decode()
    with SchemaRegistry(server.url, basic_auth=("user", "secret")) as registry:
        assert registry.schema(1) == CONTRACTS["Notification"].schema
    server.authorization = "Bearer token"
    with SchemaRegistry(server.url + "/", bearer_token="token") as registry:
        assert registry.schema(1) == CONTRACTS["Notification"].schema
    with SchemaRegistry(server.url) as registry, pytest.raises(RegistryUnavailableError, match="401"):
        registry.schema(1)


def test_the_directory_keeps_rows_that_need_no_registry(server: Registry, registry: SchemaRegistry) -> None:
    """What producers write by a schema's id is kept in single-object encoding: each push reads it and asks nobody."""
    codec = Codec(registry)
    devices = {
        "user_id": "u",
        "devices": [{"device_id": "d", "provider": "FCM", "address": "a", "registered_at": 1}],
    }
    for name, record in (("Preferences", {"user_id": "u", "locale": "de"}), ("Devices", devices)):
        value = codec.encode(name, record, name.lower())
        assert value[:1] == b"\x00"
        row = directory_row(LogRecord(0, 0, b"u", value, []), codec, name)  # type: ignore[arg-type] # one of the two
        assert row is not None and row.startswith(CONTRACTS[name].header)
        if name == "Preferences":
            assert read_preferences(row).locale == "de"
        else:
            assert read_devices(row)[0].address == "a"
