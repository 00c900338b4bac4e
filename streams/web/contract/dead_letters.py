"""The dead letters: what was given up, and replaying it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from streams.publish.lines import Instant
from streams.publish.names import RequestedBy
from streams.web.contract.operation import Answer, Body, Operation
from streams.web.contract.parameters import Limit, Query
from streams.web.contract.shown import Ms, Shown


class LetterListed(Shown):
    """A dead letter without its bytes."""

    place: str
    type: str | None
    reason: str
    code: str
    stage: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    at: Ms
    notification_id: str | None


class LetterHeader(Shown):
    """A Kafka header; its value in base64."""

    key: str
    value: str | None


class LetterInFull(LetterListed):
    """A dead letter in full, bytes in base64."""

    key: str | None
    value: str | None
    headers: list[LetterHeader]
    history: list[str]
    notification: dict[str, Any] | None = Field(description="What its record says, where it can be read.")


class Letters(Shown):
    """Dead letters, oldest first within a partition."""

    dead_letters: list[LetterListed]


class LetterReplayed(Shown):
    """What became of one letter."""

    place: str
    notification_id: str | None
    refused: str | None = Field(description="Why it was not replayed; null: it was.")


class LettersReplayed(Shown):
    """What became of each letter."""

    replays: list[LetterReplayed]


class LettersQuery(Query):
    """Which letters; without a filter, all."""

    code: str | None = Field(None, description="Why it was given up, such as UNKNOWN_TYPE.")
    type: str | None = None
    id: str | None = Field(None, description="The notification_id.")
    since: Instant | None = Field(None, alias="from", description="Given up at this instant or later.")
    until: Instant | None = Field(None, alias="to", description="Given up before this instant.")
    limit: Limit = 100


class ReplayQuery(LettersQuery):
    """Which letters; without a filter `all=true` must be given."""

    all: Literal["true", "false"] = "false"
    limit: Limit = 10


class ReplayBody(BaseModel):
    """Who asks, and whether a letter that cannot be read, or whose notification may have been sent, is replayed too."""

    model_config = ConfigDict(extra="forbid", strict=True)

    requested_by: RequestedBy = ""
    force: bool = False


BODY = Body(ReplayBody, 16 * 1024, {"ops": {"requested_by": "ops"}}, required=False)
OPERATIONS = (
    Operation(
        "GET",
        "/dead-letters",
        "deadLetters",
        "dead letters",
        "read",
        "What was given up",
        {200: Answer("Without their bytes.", Letters)},
        (429, 503),
        query=LettersQuery,
    ),
    Operation(
        "GET",
        "/dead-letters/{place}",
        "deadLetter",
        "dead letters",
        "read",
        "One dead letter in full",
        {200: Answer("Bytes in base64.", LetterInFull)},
        (404, 429, 503),
    ),
    Operation(
        "POST",
        "/dead-letters/{place}/replay",
        "replayDeadLetter",
        "dead letters",
        "admin",
        "Replay one",
        {200: Answer("It was replayed.", LetterReplayed)},
        (404, 409, 413, 415, 429, 503),
        body=BODY,
    ),
    Operation(
        "POST",
        "/dead-letters/replay",
        "replayDeadLetters",
        "dead letters",
        "admin",
        "Replay those that a query finds",
        {200: Answer("What became of each.", LettersReplayed)},
        (409, 413, 415, 429, 503),
        query=ReplayQuery,
        query_example={"code": "UNKNOWN_TYPE", "limit": "10"},
        body=BODY,
    ),
)
