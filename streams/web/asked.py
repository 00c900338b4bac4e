"""A request, checked by the operation that it is for: what its path, its query, its headers and its body say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from streams.violations import sentence
from streams.web.bodies import RefusedError, check_type, read_bytes, read_json
from streams.web.contract.operation import JSON, PROBLEM, Operation
from streams.web.contract.parameters import PATH_PARAMETERS, Query
from streams.web.faults import body_faults, faulty_parameters, model_fields, parameter_faults
from streams.web.problems import Fault

KEY_HEADER: Final = "Idempotency-Key"  # draft-ietf-httpapi-idempotency-key-header: here, the id in the body
PARAMETERS_MAX: Final = 50
_KNOWN: Final[Mapping[str, TypeAdapter[Any]]] = {name: TypeAdapter(each) for name, each in PATH_PARAMETERS.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. `query` and `body` are as the models of the operation have them; `key`: Idempotency-Key."""

    request: web.Request
    path: Mapping[str, str]
    query: Any
    body: Any
    key: str | None


def of_path(asked: Asked, *names: str) -> dict[str, str]:
    """Return these parts of the path. Raises RefusedError where the body says otherwise."""
    for name in names:
        if getattr(asked.body, name, None) not in (None, asked.path[name]):
            raise RefusedError(400, f"{name}: must be that of the path where both are given")
    return {name: asked.path[name] for name in names}


class Checker:
    """Checks the requests of one operation."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._places = {
            place: part[1:-1] for place, part in enumerate(operation.path.split("/")) if part.startswith("{")
        }
        self._query = TypeAdapter(operation.query or Query)
        self._parameters = model_fields(operation.query or Query)
        body = operation.body
        self._body = None if body is None or body.media_type != JSON else TypeAdapter(body.model)
        self._fields = [] if body is None else body_fields(body.model)
        types = {answer.media_type for answer in operation.answers.values()}
        # Where a success has no content, a header Accept says nothing of it.
        self._types = None if None in types else {PROBLEM, *(each for each in types if each is not None)}

    async def check(self, request: web.Request) -> Asked:
        """Return what is asked for. Raises RefusedError and FaultyError."""
        self._check_accept(request)
        faults: list[Fault] = []
        path = self._read_path(request, faults)
        query = self._read_query(request, faults)
        key = _read_key(request, faults) if KEY_HEADER in self._operation.headers else None
        if faults:
            raise faulty_parameters(faults)
        return Asked(request, path, query, await self._read_body(request), key)

    def _check_accept(self, request: web.Request) -> None:
        accept = ",".join(request.headers.getall("Accept", ()))
        if self._types is not None and accept and accept != "*/*" and not accepts(accept, self._types):
            known = ", ".join(sorted(self._types))
            raise RefusedError(406, f"Accept: {accept[:100]!r} takes none of {known}")

    def _read_path(self, request: web.Request, faults: list[Fault]) -> dict[str, str]:
        """Read the parts byte for byte: the router would take `%FF` and `%25FF` for one."""
        parts = request.rel_url.raw_path.split("/")
        found: dict[str, str] = {}
        for place, name in self._places.items():
            try:
                text = unquote_to_bytes(parts[place].encode("utf-8", "surrogateescape")).decode()
                found[name] = _KNOWN[name].validate_python(text)
            except UnicodeDecodeError as error:
                faults.append(Fault(field=name, message=f"is not UTF-8: {error.reason}"))
            except ValidationError as error:
                faults += [Fault(field=name, message=sentence(each)) for each in error.errors(include_url=False)]
        return found

    def _read_query(self, request: web.Request, faults: list[Fault]) -> Any:
        text = request.rel_url.raw_query_string
        values: dict[str, str] = {}
        try:
            for name, value in (
                parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX) if text else ()
            ):
                if name in values:
                    faults.append(Fault(field=name[:100], message="is given twice"))
                values[name] = value
        except UnicodeDecodeError as error:
            faults.append(Fault(field="", message=f"the query is not UTF-8: {error.reason}"))
        except ValueError:
            faults.append(Fault(field="", message=f"the query has more than {PARAMETERS_MAX} parameters"))
        try:
            return self._query.validate_python(values)
        except ValidationError as error:
            faults += parameter_faults(error, self._parameters)
            return None

    async def _read_body(self, request: web.Request) -> Any:
        body = self._operation.body
        if body is None:
            if request.method not in ("GET", "HEAD") and await read_bytes(request, 0):
                raise RefusedError(400, "the body must be empty")
            return None
        if body.required:
            check_type(request, body.media_type)
        if self._body is None:
            return None  # the view reads it as it comes
        content = await read_bytes(request, body.bytes_max)
        if content and not body.required:
            check_type(request, body.media_type)  # of nothing many clients say that it is bytes
        document = {} if not content and not body.required else read_json(content)
        try:
            return self._body.validate_python(document)
        except ValidationError as error:
            raise body_faults(error, self._fields, body) from None


def _read_key(request: web.Request, faults: list[Fault]) -> str | None:
    """Read the header: a text as it is, or in quotes, as the draft has it."""
    given = request.headers.getall(KEY_HEADER, [])
    if not given:
        return None
    key = given[0]
    if len(given) > 1:
        faults.append(Fault(field=KEY_HEADER, message="is given twice"))
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = re.sub(r'\\(["\\])', r"\1", key[1:-1])
    try:
        return str(_KNOWN["notification_id"].validate_python(key))
    except ValidationError as error:
        faults += [Fault(field=KEY_HEADER, message=sentence(each)) for each in error.errors(include_url=False)]
        return None


def accepts(accept: str, types: set[str]) -> bool:
    """Whether a header Accept takes one of these types. What cannot be read of it takes nothing."""
    for each in accept.split(","):
        wanted, *rest = (part.strip().lower() for part in each.split(";"))
        if any(re.fullmatch(r"q=0(\.0*)?", part) for part in rest):
            continue
        main = wanted.removesuffix("*") if wanted.endswith("/*") else None
        if wanted == "*/*" or wanted in types or (main and any(each.startswith(main) for each in types)):
            return True
    return False


def body_fields(model: Any) -> list[str]:
    """Return the fields of a body; of a choice, those of all that can be chosen."""
    if hasattr(model, "model_fields"):
        return model_fields(model)
    found = [body_fields(each) for each in getattr(model, "__args__", ())]
    return sorted({name for names in found for name in names})
