"""JSON as it goes into a push, and as providers answer with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson

# Where half a character is in it, which orjson refuses. json.dumps makes an encoder each time; ours holds no circles.
_to_text: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def compact_json(document: Mapping[str, object]) -> bytes:
    """Return a document in UTF-8, without spaces, characters as they are, half a character as a question mark."""
    try:
        return orjson.dumps(document)
    except TypeError:
        return _to_text(document).encode("utf-8", "replace")


def json_object(body: bytes) -> dict[str, Any]:
    """Return what an answer says, which may be anything: an empty one where it is no JSON object."""
    try:
        said = orjson.loads(body)
    except ValueError:
        try:
            said = json.loads(body)  # takes what RFC 8259 leaves open, as half a character
        except (ValueError, RecursionError):
            return {}
    return said if isinstance(said, dict) else {}
