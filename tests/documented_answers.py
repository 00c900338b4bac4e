"""Holds answers to the OpenAPI document: their status, their type, their headers, and every field of their bodies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import jsonschema_rs

from streams.web.contract.operation import PROBLEM

REQUIRED_HEADERS = {429: "Retry-After", 503: "Retry-After", 405: "Allow"}


class Answers:
    """Checks answers by a document, in which nothing that is not named may be in an object."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document: Any = json.loads(json.dumps(document))
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self._paths = {path: re.compile(re.sub(r"{\w+}", "[^/]+", path)) for path in self._document["paths"]}

    def path(self, raw_path: str) -> str | None:
        """Return the path of the document that a request's path is for; the one with the fewest names in it."""
        found = [path for path, pattern in self._paths.items() if pattern.fullmatch(raw_path)]
        return min(found, key=lambda path: path.count("{"), default=None)

    def check(self, method: str, path: str, answer: httpx.Response) -> None:
        """Raise AssertionError unless the document says that this may be answered."""
        operation = self._document["paths"][path].get("get" if method == "HEAD" else method.lower())
        where = f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        if operation is None:
            assert answer.status_code in (204, 405), where
            return
        said = operation["responses"].get(str(answer.status_code))
        assert said is not None, f"{where}: the document has no such status"
        place = f"/paths/{_pointer(path)}/{method.lower()}/responses/{answer.status_code}"
        if "$ref" in said:
            place = said["$ref"].removeprefix("#")
            said = self._document["components"]["responses"][place.rpartition("/")[2]]
        for name in said.get("headers", {}):
            optional = name == "Location"  # of a batch there is none
            assert optional or name in answer.headers, f"{where}: without the header {name}"
        if method == "HEAD" or 300 <= answer.status_code < 400:  # of a redirection nobody reads the body
            return
        self._check_body(said, place, answer, where)

    def _check_body(self, said: Any, place: str, answer: httpx.Response, where: str) -> None:
        if "content" not in said:
            assert not answer.content, where
            return
        ((media_type, content),) = said["content"].items()
        assert answer.headers["content-type"].split(";")[0] == media_type, where
        if media_type not in ("application/json", PROBLEM):
            return
        validator = self._validators.get(place)
        if validator is None:
            whole = {**content["schema"], "components": self._document["components"]}
            validator = self._validators[place] = jsonschema_rs.Draft202012Validator(whole)
        error = next(validator.iter_errors(answer.json()), None)
        assert error is None, f"{where}: {error}"


def _pointer(path: str) -> str:
    return path.replace("~", "~0").replace("/", "~1")
