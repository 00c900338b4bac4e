"""The OpenAPI document, made of the table of operations and of the models that check requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from streams.web.contract.operation import PROBLEM, Answer, Body, Operation
from streams.web.contract.operations import OPERATIONS, TAGS
from streams.web.contract.parameters import PATH_PARAMETERS
from streams.web.problems import ProblemDocument

Schema = dict[str, Any]
REF: Final = "#/components/schemas/{model}"
ANY_MAY: Final = (400, 401, 403, 406, 413, 421, 429, 503)
"""Whatever is asked for: what cannot be read, a key that nobody knows or that is not enough, what a web page elsewhere
sends, what nobody answers in, a body that is too large, what is called by another name, and too much at once."""
BODIES_MAY: Final = (408, 415)
HEADERS: Final[Mapping[str, Schema]] = {
    "Location": {"description": "Where it is shown.", "schema": {"type": "string", "format": "uri-reference"}},
    "Retry-After": {
        "description": "Ask again after so many seconds.",
        "schema": {"type": "integer", "minimum": 1},
    },
}
REQUEST_HEADERS: Final[Mapping[str, Schema]] = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The id, where the body has none: the same key is the same one. Not for a batch.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
        "example": "o-1234",
    }
}
SECURITY: Final[Mapping[str, Schema]] = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key. Its scopes: read, send, admin."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "ringonce-session",
        "description": "What `POST /session` gives the page for a key. Whatever changes something needs X-CSRF-Token.",
    },
}
WITH_RETRY: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def openapi_document(operations: Iterable[Operation] = OPERATIONS) -> Schema:
    """Return the document."""
    operations = tuple(operations)
    schemas = _Schemas(operations)
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "ringonce",
            "version": version("ringonce"),
            "summary": "Push notifications on Kafka: at most one per (user, type) per sliding window.",
            "description": "Any worker answers. What is answered with 202 is stored in Kafka, with acks=all. Errors "
            "are problem documents (RFC 9457) that name each wrong field. HEAD is as GET; OPTIONS says which methods "
            "there are. After 429 and 503 ask again, not before Retry-After has passed.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "headers": dict(HEADERS),
            "parameters": dict(REQUEST_HEADERS),
            "responses": {name: _problem(status) for status, name in _PROBLEMS.items()},
            "securitySchemes": dict(SECURITY),
        },
    }


class _Schemas:
    """The schemas of all bodies and answers, each under its own name once."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        wanted: list[tuple[int, JsonSchemaMode, TypeAdapter[Any]]] = [
            (id(ProblemDocument), "serialization", TypeAdapter(ProblemDocument))
        ]
        self._kept: list[Any] = []  # as long as it is, no other model can have its id
        for operation in operations:
            if operation.body is not None:
                wanted.append((id(operation.body.model), "validation", TypeAdapter(operation.body.model)))
            for answer in operation.answers.values():
                if answer.model is not None:
                    self._kept.append(answer.model)
                    wanted.append((id(answer.model), "serialization", TypeAdapter(answer.model)))
        found, definitions = TypeAdapter.json_schemas(wanted, ref_template=REF)
        self._by_model = {key: schema for (key, _), schema in found.items()}
        self.components: Schema = dict(sorted(definitions.get("$defs", {}).items()))

    def of(self, model: Any) -> Schema:
        """Return the schema of a model."""
        return self._by_model[id(model)]


def _operation(operation: Operation, schemas: _Schemas) -> Schema:
    document: Schema = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "x-scope": operation.scope,
        "parameters": [*_parameters(operation)],
        "responses": _responses(operation, schemas),
        "security": [] if operation.scope == "public" else [{"key": []}, {"session": []}],
    }
    if operation.description:
        document["description"] = operation.description
    if operation.body is not None:
        document["requestBody"] = _body(operation.body, schemas)
    return document


def _parameters(operation: Operation) -> Iterable[Schema]:
    for name in re.findall(r"{(\w+)}", operation.path):
        schema = TypeAdapter(PATH_PARAMETERS[name]).json_schema()
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": schema.pop("description"),
            "schema": schema,
            "example": schema["examples"][0],
        }
    yield from _query(operation.query, operation.query_example) if operation.query is not None else ()
    yield from ({"$ref": f"#/components/parameters/{name}"} for name in operation.headers)


def _query(model: type[BaseModel], example: Mapping[str, str]) -> Iterable[Schema]:
    for name, schema in model.model_json_schema()["properties"].items():
        schema.pop("title", None)
        description = schema.pop("description", "")
        parameter = {"name": name, "in": "query", "description": description, "schema": _given(schema)}
        yield {**parameter, "example": example[name]} if name in example else parameter


def _given(schema: Schema) -> Schema:
    """Return the schema of a parameter where it is given: null is for the one that is not there."""
    if schema.get("default", ...) is None:
        schema = {key: value for key, value in schema.items() if key != "default"}
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) == 1:
        schema = {key: value for key, value in schema.items() if key != "anyOf"} | choices[0]
    elif choices:
        schema = {**schema, "anyOf": choices}
    return schema


def _body(body: Body, schemas: _Schemas) -> Schema:
    examples = {name: {"value": value} for name, value in body.examples.items()}
    content = {body.media_type: {"schema": schemas.of(body.model), "examples": examples}}
    return {"required": body.required, "content": content}


def _responses(operation: Operation, schemas: _Schemas) -> Schema:
    responses = {str(status): _answer(answer, schemas) for status, answer in operation.answers.items()}
    statuses = {*operation.problems, *ANY_MAY}
    if operation.body is not None:
        statuses |= {*BODIES_MAY}
    for status in sorted(statuses):
        responses[str(status)] = {"$ref": f"#/components/responses/{_PROBLEMS[status]}"}
    return responses


def _answer(answer: Answer, schemas: _Schemas) -> Schema:
    document: Schema = {"description": answer.description}
    if answer.media_type is not None:
        schema = {"type": "string"} if answer.model is None else schemas.of(answer.model)
        document["content"] = {answer.media_type: {"schema": schema}}
    if answer.headers:
        document["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in answer.headers}
    return document


_PROBLEMS: Final[Mapping[int, str]] = {
    400: "Invalid",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    406: "NotAcceptable",
    408: "Timeout",
    409: "Conflict",
    413: "TooLarge",
    415: "MediaType",
    421: "Misdirected",
    422: "Unprocessable",
    429: "Busy",
    501: "SwitchedOff",
    503: "Unavailable",
}
_SAID: Final[Mapping[int, str]] = {
    400: "Nothing was done: what is wrong, for each field.",
    401: "There is no key, or nobody knows it.",
    403: "The key has not the scope that this needs, or a web page elsewhere asked.",
    404: "There is none.",
    406: "It is answered in no type that the header Accept takes.",
    408: "Nothing was done: the body has not come in time.",
    409: "Nothing was done: it contradicts what is there already.",
    413: "Nothing was done: it has more than is taken at once.",
    415: "Nothing was done: the body is of another type or encoding.",
    421: "A worker without keys is called by an address, by `localhost` or by its own name only.",
    422: "It was understood and cannot be carried out.",
    429: "Nothing was done: more is under way than can be taken. Ask again.",
    501: "What is asked for is switched off by a setting, which is named.",
    503: "It may have been done, and doing it again changes nothing; or partitions are moving. Ask again.",
}


def _problem(status: int) -> Schema:
    document: Schema = {
        "description": _SAID[status],
        "content": {PROBLEM: {"schema": {"$ref": REF.format(model=ProblemDocument.__name__)}}},
    }
    if status in WITH_RETRY:
        document["headers"] = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
    return document
