"""A schema registry that speaks Confluent's API (docs.confluent.io, "Schema Registry API Reference").

Only three calls are used: register or look up a schema under a subject, and fetch one by its id. What the registry
once said of an id stays true, so it is asked once.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
SCHEMA_NOT_FOUND: Final = 40403  # "Schema not found", the only answer that proves that an id is not known.
UNKNOWN_ID_SECONDS: Final = 30.0  # A flood of records with made-up ids must not become a flood of requests.
UNKNOWN_IDS_MAX: Final = 10_000
REFERENCES_DEPTH_MAX: Final = 8


class RegistryError(Exception):
    """What a schema registry can answer instead of an answer."""


class RegistryUnavailableError(RegistryError):
    """It did not answer, or did not let us in: nothing is known of the record. Try again later."""


class RegistryRejectedError(RegistryError):
    """It refused our schema (incompatible with the subject, or unknown where registering is off): a person must act."""


class SchemaRegistry:
    """A client with a cache. Calls block for at most `timeout_seconds` for each request, once for each schema.

    `auto_register=False` only looks our schemas up, for clusters where a pipeline registers them.
    `verify` is a path to a CA file, or True for the system's. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        basic_auth: tuple[str, str] | None = None,
        bearer_token: str | None = None,
        timeout_seconds: float = 3.0,
        auto_register: bool = True,
        verify: str | bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        headers = {"Accept": f"{CONTENT_TYPE}, application/json"}
        if bearer_token is not None:
            headers["Authorization"] = f"Bearer {bearer_token}"
        self.url: Final = url.rstrip("/")
        self.auto_register: Final = auto_register
        self._client = httpx.Client(
            auth=basic_auth, headers=headers, timeout=timeout_seconds, verify=_tls(verify), follow_redirects=False
        )
        self._clock = clock
        self._ids: dict[tuple[str, str], int] = {}
        self._schemas: dict[int, Any] = {}
        self._unknown: dict[int, float] = {}

    def register(self, subject: str, schema_json: str) -> int:
        """The id of a schema under a subject, registered when it is not there yet and `auto_register` is on.

        Raises RegistryRejectedError and RegistryUnavailableError.
        """
        schema_id = self._ids.get((subject, schema_json))
        if schema_id is None:
            path = f"/subjects/{quote(subject, safe='')}" + ("/versions" if self.auto_register else "")
            response = self._request("POST", path, {"schema": schema_json, "schemaType": "AVRO"})
            if response.status_code in (404, 409, 422):
                raise RegistryRejectedError(f"{self.url}: subject {subject}: {_message(response)}")
            answer = self._answer(response)
            if not isinstance(answer.get("id"), int):
                raise RegistryUnavailableError(f"{self.url}: subject {subject}: an answer without an id")
            schema_id = self._ids[subject, schema_json] = answer["id"]
        return schema_id

    def schema(self, schema_id: int) -> Any | None:
        """The schema of an id as JSON, self-contained, or None when the registry knows no such id.

        Raises RegistryUnavailableError.
        """
        if schema_id in self._schemas:
            return self._schemas[schema_id]
        if self._clock() < self._unknown.get(schema_id, float("-inf")):
            return None
        response = self._request("GET", f"/schemas/ids/{schema_id}")
        if response.status_code == 404 and _error_code(response) == SCHEMA_NOT_FOUND:
            if len(self._unknown) >= UNKNOWN_IDS_MAX:
                self._unknown.clear()
            self._unknown[schema_id] = self._clock() + UNKNOWN_ID_SECONDS
            return None
        schema = self._with_references(self._answer(response), REFERENCES_DEPTH_MAX)
        self._schemas[schema_id] = schema
        return schema

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _with_references(self, answer: Mapping[str, Any], depth: int) -> Any:
        """The schema with the named schemas that it refers to written out where they are first used."""
        if answer.get("schemaType", "AVRO") != "AVRO":
            return f"a schema of type {answer['schemaType']}"
        try:
            schema = json.loads(answer["schema"])
        except (KeyError, TypeError, ValueError) as error:
            raise RegistryUnavailableError(f"{self.url}: an answer without a schema: {error!r}") from error
        except RecursionError:
            return "a schema that is nested too deep"
        references = answer.get("references") or []
        if references and depth == 0:
            raise RegistryUnavailableError(f"{self.url}: references deeper than {REFERENCES_DEPTH_MAX}")
        for reference in references:
            try:
                name, subject, version = reference["name"], quote(reference["subject"], safe=""), reference["version"]
            except (KeyError, TypeError) as error:
                raise RegistryUnavailableError(f"{self.url}: a reference without {error}") from error
            response = self._request("GET", f"/subjects/{subject}/versions/{version}")
            referred = self._with_references(self._answer(response), depth - 1)
            schema, _ = _replaced(schema, name, referred, "")
        return schema

    def _request(self, method: str, path: str, body: object = None) -> httpx.Response:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": CONTENT_TYPE}
        try:
            return self._client.request(method, self.url + path, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RegistryUnavailableError(f"{self.url}{path}: {type(error).__name__}: {error}") from error

    def _answer(self, response: httpx.Response) -> Mapping[str, Any]:
        if response.status_code != 200:
            raise RegistryUnavailableError(f"{response.request.url}: {response.status_code} {_message(response)}")
        try:
            answer = response.json()
        except ValueError as error:
            raise RegistryUnavailableError(f"{response.request.url}: not JSON") from error
        if not isinstance(answer, dict):
            raise RegistryUnavailableError(f"{response.request.url}: not a JSON object")
        return answer


def _replaced(schema: Any, name: str, referred: Any, namespace: str) -> tuple[Any, bool]:
    """The schema with the first reference to `name` replaced, and whether there was one."""
    if isinstance(schema, str):
        full = schema if "." in schema or not namespace else f"{namespace}.{schema}"
        return (referred, True) if name in (schema, full) else (schema, False)
    if not isinstance(schema, list | dict):
        return schema, False
    written: Any = schema.copy()
    keys: Any = range(len(schema))
    if isinstance(schema, dict):
        namespace = schema.get("namespace", namespace)
        keys = [key for key in ("fields", "type", "items", "values") if key in schema]
    for key in keys:
        written[key], found = _replaced(schema[key], name, referred, namespace)
        if found:
            return written, True
    return schema, False


def _tls(verify: str | bool) -> Any:
    if isinstance(verify, bool):
        return verify
    return ssl.create_default_context(cafile=verify)


def _error_code(response: httpx.Response) -> int | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    code = answer.get("error_code") if isinstance(answer, dict) else None
    return code if isinstance(code, int) else None


def _message(response: httpx.Response) -> str:
    return response.text[:300].strip()
