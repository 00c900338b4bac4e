"""The URL of a user at the user service, from a template such as `https://users.example/v1/users/{user_id}`."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

PLACE = "{user_id}"


def check_url_template(template: str) -> str:
    """Return the template. Raises ValueError with a sentence that repeats none of it: a query may hold a secret."""
    try:
        parts = urlsplit(template)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be a URL, such as https://users.example/users/{user_id}") from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise ValueError("must be a URL that starts with https://")
    if "@" in parts.netloc:
        raise ValueError("must not contain a user or a password: a token has RINGONCE_USER_SERVICE_TOKEN_FILE")
    if parts.fragment or "#" in template:
        raise ValueError("must not have a fragment: it is never sent")
    if PLACE not in parts.path + "?" + parts.query:
        raise ValueError("must have {user_id} in its path or its query")
    if set("{}") & set(template.replace(PLACE, "")) or PLACE in parts.netloc:
        raise ValueError("must have no other braces than those of {user_id}, in its path or its query")
    if any(character <= " " or character > "~" for character in template):
        raise ValueError("must be of printable ASCII, without spaces")
    return template


def user_url(template: str, user_id: str) -> str:
    """Return the URL of a user; whatever the id holds, it stays within its place."""
    # A user may be called `..`: an unquoted dot segment is taken out of a path on its way.
    return template.replace(PLACE, quote(user_id, safe="").replace(".", "%2E"))


def shown_host(template: str) -> str:
    """Return what of it may be shown to everybody: scheme, host and port."""
    parts = urlsplit(template)
    return f"{parts.scheme}://{parts.netloc}"
