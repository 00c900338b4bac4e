"""What one operation is: its place, who may call it, what it takes, and everything that it may answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

Method = Literal["GET", "PUT", "POST", "DELETE"]
Scope = Literal["public", "read", "send", "admin"]
"""Which scope a key must have; `public` needs none."""

JSON = "application/json"
PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Body:
    """What a request brings. `model` is a pydantic model, or any type that pydantic can check."""

    model: Any
    bytes_max: int
    examples: Mapping[str, Any]
    """By a short name; each is valid, which a test checks."""
    required: bool = True
    media_type: str = JSON
    secret: bool = False
    """What is wrong with it is said without what was given: it may be a key, in the wrong place."""
    tags: tuple[str, ...] = ()
    """Names of the choices of a body that may be one of several."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A success. `model`: of its JSON; None: there is none, or it is a text."""

    description: str
    model: Any = None
    media_type: str | None = JSON
    headers: tuple[str, ...] = ()
    """Names of those in the document's list of headers."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `path` is as the router has it: `/slots/{user_id}/{type}`."""

    method: Method
    path: str
    id: str
    tag: str
    scope: Scope
    summary: str
    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()
    """Statuses of the problem documents that are of this operation's own; those that any may answer come besides."""
    description: str = ""
    query: type[BaseModel] | None = None
    headers: tuple[str, ...] = ()
    """Names of request headers, of those in the document's list."""
    body: Body | None = None
    query_example: Mapping[str, str] = field(default_factory=dict)
    """What the query has in the example; without what must be given it would be refused."""
