"""The OpenAPI document: valid, complete, and with examples that are taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import TypeAdapter, ValidationError

from schemas.codec import Codec
from streams.app import AppParts, create_app
from streams.lane.app import LaneWeb
from streams.settings import load_settings
from streams.templates.library import TemplateLibrary
from streams.types_file import NotificationTypes
from streams.web.contract.document import openapi_document
from streams.web.contract.operation import Operation
from streams.web.contract.operations import OPERATIONS, TAGS, scope_of
from streams.web.front import FrontParts, install_front

DOCUMENT = openapi_document()
Routes = set[tuple[str, str]]


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Routes:
    """The routes of a worker's front, by method and path; it is not started."""
    settings = load_settings(bootstrap="127.0.0.1:1", web_port=0, data_dir=tmp_path_factory.mktemp("data"))
    types = NotificationTypes.load(None)
    library = TemplateLibrary(types, settings.locale)
    app = create_app(AppParts(settings=settings, types=types, templates=library))
    install_front(FrontParts(app, settings, types, Codec(), library))
    return routes_of(cast(LaneWeb, app.web))


def routes_of(web: LaneWeb) -> Routes:
    """By method and path. HEAD belongs to GET."""
    resources = [(route.method, route.resource) for route in web.web_app.router.routes()]
    return {(method, each.canonical) for method, each in resources if each is not None and method != "HEAD"}


def test_each_route_is_documented_and_each_operation_has_a_route(routes: Routes) -> None:
    """Nothing can be asked for that the document does not name, and the other way round."""
    documented = {(each.method, each.path) for each in OPERATIONS}
    assert routes - documented == set(), "an Operation is missing in streams/web/contract"
    assert documented - routes == set(), "an Operation has no route"


def test_each_route_has_a_scope(routes: Routes) -> None:
    """Which a key must have."""
    assert {scope_of(*route) for route in routes} == {"public", "read", "send", "admin"}
    assert scope_of("HEAD", "/health/live") == "public"
    assert scope_of("GET", "/nothing") is None


def test_the_document_is_valid() -> None:
    """By the schema of OpenAPI 3.1, and every reference leads somewhere."""
    OpenAPIV31SpecValidator(json.loads(json.dumps(DOCUMENT))).validate()
    text = json.dumps(DOCUMENT)
    for name in DOCUMENT["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, f"{name} is never used"


def test_ids_and_tags_are_known() -> None:
    """An id is there once, and a tag is explained."""
    ids = [each.id for each in OPERATIONS]
    assert len(ids) == len(set(ids))
    assert {each.tag for each in OPERATIONS} == set(TAGS)


EXAMPLES = [
    (operation, name, example)
    for operation in OPERATIONS
    if operation.body is not None
    for name, example in operation.body.examples.items()
]


@pytest.mark.parametrize(
    ("operation", "name", "example"), EXAMPLES, ids=lambda value: getattr(value, "id", str(value)[:20])
)
def test_an_example_is_taken(operation: Operation, name: str, example: Any) -> None:
    """By the model that checks requests, and by the document's own schema."""
    body = operation.body
    assert body is not None
    TypeAdapter(body.model).validate_python(example)
    schema = DOCUMENT["paths"][operation.path][operation.method.lower()]["requestBody"]["content"]
    assert schema[body.media_type]["examples"][name]["value"] == example
    whole = {**schema[body.media_type]["schema"], "components": DOCUMENT["components"]}
    validator = jsonschema_rs.validator_for(whole, validate_formats=True)
    validator.validate(example)
    with pytest.raises(jsonschema_rs.ValidationError):
        validator.validate(None)
    with pytest.raises(ValidationError):
        TypeAdapter(body.model).validate_python(None)


def test_no_path_of_this_machine_is_in_the_document() -> None:
    """What it says is of the service."""
    assert str(Path(__file__).parents[2]) not in json.dumps(DOCUMENT)
