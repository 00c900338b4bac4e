"""Every operation of a worker that has no Kafka: the document's own examples, and answers that the document allows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx
import pytest

from streams.web.contract.document import openapi_document
from streams.web.contract.operation import JSON, Operation
from streams.web.contract.operations import OPERATIONS
from tests.documented_answers import Answers
from tests.unit.front_bench import front_settings, serve

DOCUMENT = openapi_document()
ANSWERS = Answers(DOCUMENT)


def path_of(operation: Operation) -> str:
    """The path with the document's examples."""
    path = operation.path
    for each in DOCUMENT["paths"][operation.path][operation.method.lower()]["parameters"]:
        if each.get("in") == "path":
            path = path.replace(f"{{{each['name']}}}", quote(each["example"], safe=""))
    return path + (f"?{urlencode(operation.query_example)}" if operation.query_example else "")


async def ask(client: httpx.AsyncClient, operation: Operation) -> list[httpx.Response]:
    """Send each example of its body; one request where it has none."""
    path = path_of(operation)
    if operation.body is None:
        return [await client.request(operation.method, path)]
    answers = []
    for example in operation.body.examples.values():
        content = json.dumps(example) if operation.body.media_type == JSON else example
        headers = {"Content-Type": operation.body.media_type}
        answers.append(await client.request(operation.method, path, content=content, headers=headers))
    return answers


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[httpx.Response]]:
    """The answers to all operations, by their ids."""
    found: dict[str, list[httpx.Response]] = {}

    async def scenario(client: httpx.AsyncClient) -> None:
        client.timeout = httpx.Timeout(60)
        answers = await asyncio.gather(*(ask(client, each) for each in OPERATIONS))
        found.update(zip((each.id for each in OPERATIONS), answers, strict=True))

    serve(front_settings(tmp_path_factory.mktemp("front")), scenario)
    return found


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.id)
def test_what_is_answered_is_what_the_document_says(
    operation: Operation, answered: dict[str, list[httpx.Response]]
) -> None:
    """Of examples none is refused; without Kafka most are asked to come again."""
    assert answered[operation.id]
    for answer in answered[operation.id]:
        assert answer.status_code not in (400, 413, 415, 500), answer.text
        ANSWERS.check(operation.method, operation.path, answer)


def test_what_the_document_does_not_say_is_noticed(answered: dict[str, list[httpx.Response]], tmp_path: Path) -> None:
    """Another status, another type, a field more, a field less."""
    (live,) = answered["live"]
    ANSWERS.check("GET", "/health/live", live)
    headers = {"Content-Type": "application/json; charset=utf-8"}
    for wrong in (
        httpx.Response(201, json={"live": True}),
        httpx.Response(200, text="yes"),
        httpx.Response(200, content=b'{"live": true, "more": 1}', headers=headers),
        httpx.Response(200, content=b"{}", headers=headers),
        httpx.Response(503, content=b'{"status": 503}', headers={"Content-Type": "application/problem+json"}),
    ):
        with pytest.raises(AssertionError):
            ANSWERS.check("GET", "/health/live", wrong)
