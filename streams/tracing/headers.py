"""The headers that a collector wants, as one setting has them."""

from __future__ import annotations


def read_otlp_headers(text: str) -> dict[str, str]:
    """Read `name=value,…`. Raises ValueError, which does not show them."""
    headers = {}
    for pair in text.split(","):
        name, equals, value = pair.strip().partition("=")
        if not (name and equals):
            raise ValueError("must be name=value, or several with commas between")
        headers[name.strip()] = value.strip()
    return headers
