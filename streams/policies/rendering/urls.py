"""What may stand in a push as the address of an image, or as what a tap opens."""

from __future__ import annotations

import re
from typing import Final

from streams.policies.rendering.limits import URL_CHARACTERS_MAX

# RFC 3986: everything else is percent-encoded.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):.+")
_IMAGE = re.compile(rf"https://[A-Za-z0-9\[]{_CHARACTERS.pattern}", re.IGNORECASE)
_HOST = re.compile(r"https://[A-Za-z0-9\[][^/?#]*", re.IGNORECASE)
# What these name is run or read by whoever opens it, and not looked up anywhere.
_REFUSED: Final = frozenset(("javascript", "data", "vbscript", "file", "blob", "about", "view-source"))


def wrong_image(url: str) -> str | None:
    """Say what is wrong with the address of an image, None: nothing."""
    if len(url) <= URL_CHARACTERS_MAX and _IMAGE.fullmatch(url):
        return None
    return _wrong(url) or (None if _HOST.match(url) else f"{url[:80]!r} must be an https:// URL")


def wrong_link(url: str) -> str | None:
    """Say what is wrong with a deep link, `myshop://orders/7` or `https://…`, None: nothing."""
    wrong = _wrong(url)
    if wrong is not None:
        return wrong
    scheme = _SCHEME.fullmatch(url)
    if scheme is None:
        return f"{url[:80]!r} must be a URL with its scheme, myshop://… or https://…"
    if scheme[1].lower() in _REFUSED:
        return f"a link of the scheme {scheme[1].lower()} is not opened"
    return None


def _wrong(url: str) -> str | None:
    if len(url) > URL_CHARACTERS_MAX:
        return f"a URL of {len(url):,} characters; at most {URL_CHARACTERS_MAX:,} are allowed"
    if not _CHARACTERS.fullmatch(url):
        return f"{url[:80]!r} holds what no URL has; write values into it with `| urlencode`"
    return None
