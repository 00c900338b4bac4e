"""JSON as it goes into a push: without spaces, characters as they are, half a character as a question mark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

# json.dumps makes an encoder for each push; what is ours holds no circles.
_to_text: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def compact_json(document: Mapping[str, object]) -> bytes:
    """Return a document in UTF-8."""
    return _to_text(document).encode("utf-8", "replace")
