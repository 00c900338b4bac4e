"""What pydantic finds wrong with a request, as faults that name the field, and as one sentence."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from streams.violations import sentence
from streams.web.contract.operation import Body
from streams.web.problems import Fault, named

FAULTS_MAX: Final = 50
"""So many are told of one request: an answer is small, whatever was asked."""
NAMES_MAX: Final = 20
SHOWN_MAX: Final = 5
"""So many stand in the sentence."""


NO_OBJECT: Final = "must be a JSON object"
_NAME: Final = re.compile(r"[a-z_]{1,40}")
"""What is a name for sure: a key has digits and is longer."""


class FaultyError(Exception):
    """A request that cannot be taken, with all that is wrong with it."""

    def __init__(self, status: int, faults: Sequence[Fault], detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.faults = tuple(faults)
        self.detail = detail


def body_faults(error: ValidationError, fields: Collection[str], body: Body) -> FaultyError:
    """Return what is wrong with a body. `fields`: those that it has."""
    tags, secret = body.tags, body.secret
    all_errors = error.errors(include_url=False)
    found = [(_place(each, tags, secret), _said(each, fields, secret=secret)) for each in all_errors[:FAULTS_MAX]]
    faults = [Fault(field=_pointer(place), message=message) for place, message in found]
    lines = [f"{_dotted(place)}{message}" for place, message in found]
    if lines == [NO_OBJECT]:
        lines = [f"the body {NO_OBJECT}"]
    too_many = any(each["type"] == "too_long" and not _place(each, tags) for each in all_errors)
    return FaultyError(413 if too_many else 400, _bounded(faults, error.error_count()), _joined(lines))


def parameter_faults(error: ValidationError, fields: Collection[str]) -> Iterator[Fault]:
    """Yield what is wrong with parameters, by their names."""
    for each in error.errors(include_url=False)[:FAULTS_MAX]:
        if not each["loc"]:  # a rule over several, which names them itself
            text = sentence(each)
            yield next(named(text, of_body=False), Fault(field="", message=text))
            continue
        name = str(each["loc"][0])
        message = _said(each, fields, "parameter")
        yield Fault(field=_printed(name), message=message)


def faulty_parameters(faults: Sequence[Fault]) -> FaultyError:
    """Return the error for these."""
    lines = [f"{each.field}: {each.message}" if each.field else each.message for each in faults]
    return FaultyError(400, _bounded(faults, len(faults)), _joined(lines))


def unknown(name: str, known: Collection[str], what: str = "field") -> str:
    """Say that there is no such field, and which one may be meant."""
    close = get_close_matches(name, known, 1)
    if close:
        return f"no such {what}; is {close[0]} meant?"
    if not known:
        return f"no such {what}; there is none"
    names = sorted(known)[:NAMES_MAX]
    return f"no such {what}; there are {', '.join(names)}{' …' if len(known) > NAMES_MAX else ''}"


def _said(details: ErrorDetails, fields: Collection[str], what: str = "field", *, secret: bool = False) -> str:
    if details["type"] == "extra_forbidden":
        return unknown(str(details["loc"][-1]), fields, what)
    if details["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return NO_OBJECT
    return _printed(sentence(details, secret=secret))


def _place(details: ErrorDetails, tags: Collection[str], secret: bool = False) -> tuple[int | str, ...]:
    place = details["loc"]
    if secret and not _NAME.fullmatch(str(place[-1]) if place else "name"):
        place = place[:-1]
    return place[1:] if place and place[0] in tags else place


def _pointer(place: tuple[int | str, ...]) -> str:
    """Return a JSON pointer (RFC 6901)."""
    return "".join("/" + _printed(str(part)).replace("~", "~0").replace("/", "~1") for part in place)


def _dotted(place: tuple[int | str, ...]) -> str:
    """Return `[1] data.name: `, as people read it."""
    index, rest = (f"[{place[0]}] ", place[1:]) if place and isinstance(place[0], int) else ("", place)
    return index + (f"{'.'.join(_printed(str(part)) for part in rest)}: " if rest else "")


def _printed(text: str) -> str:
    """Return a text that can be written down: what came in may have half a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode()[:500]


def _joined(lines: Sequence[str]) -> str:
    more = len(lines) - SHOWN_MAX
    return "; ".join(lines[:SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")


def _bounded(faults: Sequence[Fault], count: int) -> Sequence[Fault]:
    if count <= FAULTS_MAX:
        return faults
    rest = Fault(field="", message=f"and {count - FAULTS_MAX} more that are wrong")
    return [*faults[:FAULTS_MAX], rest]


def model_fields(model: Any) -> list[str]:
    """Return the names of a model's fields, as they are given."""
    return [info.alias or name for name, info in model.model_fields.items()]
