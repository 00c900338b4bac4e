"""The page of the API as HTML, made of the OpenAPI document alone: what a program reads there, a person reads here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment
from markupsafe import Markup, escape

from streams.web.contract.operation import JSON
from streams.web.problem_kinds import KINDS, URN

BASE: Final = "http://127.0.0.1:6066"
Schema = Mapping[str, Any]


def page_of(document: Schema) -> str:
    """Return the page."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("streams.web").joinpath("docs/page.html").read_text(encoding="utf-8"))
    info, components = document["info"], document["components"]
    return template.render(
        title=info["title"],
        version=info["version"],
        summary=info["summary"],
        description=info["description"],
        tags=[
            {**tag, "description": _text(tag["description"]), "operations": [*_operations(document, tag["name"])]}
            for tag in document["tags"]
        ],
        kinds=[
            {"id": f"problem-{name}", "urn": URN + name, **kind._asdict(), "advice": _text(kind.advice)}
            for name, kind in KINDS.items()
        ],
        schemas=[
            {"name": name, "said": _text(schema.get("description", "")), "fields": [*_fields(schema)]}
            for name, schema in components["schemas"].items()
        ],
    )


def _operations(document: Schema, tag: str) -> Iterator[dict[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield _operation(document, path, method, operation)


def _operation(document: Schema, path: str, method: str, operation: Schema) -> dict[str, Any]:
    parameters = [_resolved(document, each) for each in operation["parameters"]]
    body = operation.get("requestBody")
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "css": method,
        "path": path,
        "summary": operation["summary"],
        "scope": operation["x-scope"],
        "description": _text(operation.get("description", "")),
        "parameters": [_parameter(each) for each in parameters],
        "body": None if body is None else _body(document, body),
        "examples": [*_examples(path, method, operation, parameters)],
        "answers": [_answer(document, status, each) for status, each in sorted(operation["responses"].items())],
    }


def _parameter(parameter: Schema) -> dict[str, Any]:
    said = _text(parameter.get("description", ""))
    return {
        "name": parameter["name"],
        "required": parameter.get("required", False),
        "type": type_of(parameter["schema"]),
        "said": said + Markup(' <span class="faint">In the {}.</span>').format(parameter["in"]),
    }


def _body(document: Schema, body: Schema) -> dict[str, Any]:
    (content,) = body["content"].values()
    (media_type,) = body["content"]
    schema = content["schema"]
    fields = [*_fields(_resolved(document, schema))]
    kind = type_of(schema) if media_type == JSON else Markup("<code>{}</code>").format(media_type)
    return {"type": kind, "required": body["required"], "fields": fields}


def _answer(document: Schema, status: str, answer: Schema) -> dict[str, Any]:
    answer = _resolved(document, answer)
    content = answer.get("content", {})
    types = [
        type_of(each["schema"]) if media_type != "text/plain" else escape(media_type)
        for media_type, each in content.items()
    ]
    said = answer["description"]
    for name in answer.get("headers", {}):
        said += f" With the header `{name}`."
    return {"status": status, "type": Markup(", ").join(types), "said": _text(said)}


def _fields(schema: Schema) -> Iterator[dict[str, Any]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        said = _text(field.get("description", ""))
        if field.get("default") not in (None, "", [], {}):
            said += Markup(" <span class=faint>Without it: <code>{}</code>.</span>").format(
                json.dumps(field["default"])
            )
        yield {"name": name, "required": name in required, "type": type_of(field), "said": said}


def type_of(schema: Schema) -> Markup:
    """Return what a value must be, with links to what is described elsewhere on the page."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return Markup(" or ").join(type_of(each) for each in schema[choice])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return Markup(" ").join(Markup("<code>{}</code>").format(value) for value in values)
    kind = schema.get("type", "anything")
    if kind == "array":
        return Markup("list of ") + type_of(schema.get("items", {}))
    if kind == "object":
        inside = schema.get("additionalProperties")
        return Markup("object of ") + type_of(inside) if isinstance(inside, dict) else Markup("object")
    return escape(f"{kind}{_bounds(schema)}")


def _bounds(schema: Schema) -> str:
    if schema.get("format"):
        return f" ({schema['format']})"
    least, most = schema.get("minimum"), schema.get("maximum")
    return "" if least is None or most is None else f", {least:,} to {most:,}"


def _examples(path: str, method: str, operation: Schema, parameters: list[Any]) -> Iterator[dict[str, str]]:
    for parameter in parameters:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(parameter["example"]), safe="@"))
    query = {each["name"]: each["example"] for each in parameters if each["in"] == "query" and "example" in each}
    url = BASE + path
    if query:
        url = _quoted(f"{url}?{urlencode(query)}")
    key = "" if operation["x-scope"] == "public" else ' \\\n  -H "Authorization: Bearer $API_KEY"'
    verb = "" if method == "get" or (method == "post" and "requestBody" in operation) else f" -X {method.upper()}"
    body = operation.get("requestBody")
    if body is None:
        yield {"name": "", "curl": f"curl{verb} {url}{key}"}
        return
    for media_type, content in body["content"].items():
        for name, example in content["examples"].items():
            if media_type == JSON:
                given = f"--json {_quoted(json.dumps(example['value'], ensure_ascii=False))}"
            else:
                given = f"-H 'Content-Type: {media_type}' --data-binary {_quoted(example['value'])}"
            yield {"name": name, "curl": f"curl{verb} {url}{key} \\\n  {given}"}


def _quoted(text: str) -> str:
    """As a shell reads it."""
    return "'" + text.replace("'", "'\\''") + "'"


def _resolved(document: Schema, schema: Schema) -> Any:
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _text(text: str) -> Markup:
    """Return a text whose `names` are shown as code."""
    parts = re.split(r"`([^`]*)`", text)
    shown = [Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)]
    return Markup("").join(shown)
