"""What we send to FCM, and what our stand-in takes, against the description of the API that Google publishes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.fcm.credentials import SCOPE
from connectors.fcm.request import FcmRequest, build_request
from connectors.outcome import Device, ProviderName, Push
from connectors.simulators.fcm_message import SEND_REQUEST, Format

DISCOVERY = json.loads(Path(__file__).with_name("fcm_v1_discovery.json").read_text(encoding="utf-8"))
SCHEMAS: dict[str, Any] = DISCOVERY["schemas"]
PUSH = Push(
    push_id="123e4567-e89b-42d3-a456-426614174000",
    notification_id="n-1",
    type="like",
    device=Device("d", ProviderName.FCM, "dQw4w9WgXcQ:APA91b" + "x" * 120),
    title="Title",
    body="Bödy",
    data={"k": "v"},
    ttl_seconds=3_600,
    collapse_id="c" * 32,
)
PUSHES = {
    "shown": PUSH,
    "not urgent, without a ttl": replace(PUSH, urgent=False, ttl_seconds=0),
    "background": replace(PUSH, title="", body=""),
    "image and link": replace(PUSH, image="https://img.example.com/a.png", link="https://shop.example.com/orders/7"),
    "link of an app": replace(PUSH, link="shop://orders/7"),
    "installation id": replace(PUSH, device=replace(PUSH.device, address="cQw4w9WgXcQ-_aaaaaaaa1")),
}
FORMATS = {"google-duration": r"\d+(\.\d{1,9})?s", "google-datetime": r"\d{4}-.*Z"}


def camel_case(name: str) -> str:
    return re.sub(r"_(.)", lambda found: found[1].upper(), name)


def violations(value: Any, schema: Mapping[str, Any], path: str = "") -> list[str]:
    """What of a JSON value the published schema does not have."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"]]
    if schema["type"] == "any":
        return []
    kinds: dict[str, tuple[type, ...]] = {
        "object": (dict,),
        "array": (list,),
        "string": (str,),
        "boolean": (bool,),
        "integer": (int,),
        "number": (int, float),
    }
    if not isinstance(value, kinds[schema["type"]]):
        return [f"{path}: {value!r} is no {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{path}: {value!r} is none of {schema['enum']}"]
    if schema.get("format") in FORMATS and not re.fullmatch(FORMATS[schema["format"]], str(value)):
        return [f"{path}: {value!r} is no {schema['format']}"]
    found: list[str] = []
    if isinstance(value, dict):
        for name, item in value.items():
            inner = schema.get("properties", {}).get(camel_case(name)) or schema.get("additionalProperties")
            where = f"{path}.{name}"
            found += [f"{where}: no such field"] if inner is None else violations(item, inner, where)
    return found


def sent(push: Push, *, validate_only: bool = False) -> dict[str, Any]:
    request = build_request(push, 1_700_000_000.5, validate_only=validate_only)
    assert isinstance(request, FcmRequest)
    document: dict[str, Any] = json.loads(request.body)
    return document


@pytest.mark.parametrize("push", PUSHES.values(), ids=PUSHES)
@pytest.mark.parametrize("validate_only", [False, True])
def test_each_request_fits_the_published_description(push: Push, validate_only: bool) -> None:
    """No field that Google does not name, and no value of another kind."""
    assert violations(sent(push, validate_only=validate_only), SCHEMAS["SendMessageRequest"]) == []


def test_the_check_finds_what_does_not_fit() -> None:
    """An unknown field, a wrong kind, a wrong enum value and a wrong duration are each found."""
    document = sent(PUSH)
    document["message"]["android"] |= {"ttl": "1h", "priority": "high!", "made_up": 1, "direct_boot_ok": "yes"}
    assert len(violations(document, SCHEMAS["SendMessageRequest"])) == 4


def test_the_scope_is_one_that_the_method_takes() -> None:
    """The access token is asked for with a scope of projects.messages.send."""
    assert SCOPE in DISCOVERY["send"]["scopes"]
    assert DISCOVERY["send"]["httpMethod"] == "POST"


def field_names(format_: Format, prefix: str = "") -> set[str]:
    names: set[str] = set()
    for name, kind in format_.items():
        names.add(prefix + camel_case(name))
        if isinstance(kind, Mapping):
            names |= field_names(kind, f"{prefix}{camel_case(name)}.")
    return names


def published_names(schema: Mapping[str, Any], prefix: str = "") -> set[str]:
    names: set[str] = set()
    for name, inner in schema["properties"].items():
        if inner.get("$ref") == "AndroidConfigV2":
            continue
        names.add(prefix + name)
        if "$ref" in inner:
            names |= published_names(SCHEMAS[inner["$ref"]], f"{prefix}{name}.")
    return names


def test_the_stand_in_knows_the_fields_that_google_publishes_and_no_other() -> None:
    """The simulator is neither laxer nor stricter than the description, but for AndroidConfigV2, which it refuses."""
    assert field_names(SEND_REQUEST) == published_names(SCHEMAS["SendMessageRequest"])
