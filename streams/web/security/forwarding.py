"""What one worker forwards to another, signed: for whom, what exactly, to whom, and when.

The first worker checks who asks; the second one trusts its word, and nobody else's. The MAC covers method, path, query,
body and the worker that is asked, so nothing of it can be used for anything else, and not for long: a request that is
sent again within that time reads the same once more. Only reads are forwarded.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Final

from streams.web.security.callers import Caller
from streams.web.security.scopes import SAFE_METHODS, SCOPES

VALID_MS: Final = 10_000  # twice what a forwarded request may take
HEADER_LENGTH_MAX: Final = 2_048
VERSION: Final = "v1"


class SignatureError(Exception):
    """A forwarded request that no worker of ours has signed, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What is signed. `target`: path and query as they stand in the request line. `to`: the URL of the worker."""

    method: str
    target: str
    to: str
    body: bytes = b""


def sign_forwarded(request: Forwarded, caller: Caller, now_ms: int, key: bytes) -> str:
    """Return the header that says for whom a request is forwarded."""
    fields = [now_ms, caller.key_id, caller.name, sorted(caller.scopes)]
    payload = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()
    return f"{VERSION} {payload} {_mac(request, payload, key)}"


def read_forwarded(header: str, request: Forwarded, now_ms: int, skew_ms: int, key: bytes) -> Caller:
    """Return for whom a request was forwarded. Raises SignatureError."""
    version, _, rest = header.partition(" ")
    payload, _, mac = rest.partition(" ")
    if len(header) > HEADER_LENGTH_MAX or version != VERSION or not header.isascii():
        raise SignatureError("it is not signed as workers sign")
    if not hmac.compare_digest(mac, _mac(request, payload, key)):
        raise SignatureError("its signature is not that of a worker with the same RINGONCE_CLUSTER_SECRET")
    at, key_id, name, scopes = json.loads(base64.urlsafe_b64decode(payload))
    if abs(now_ms - at) > VALID_MS + skew_ms:
        raise SignatureError(f"it was signed {abs(now_ms - at) / 1000:.0f} s away from this worker's time")
    if request.method not in SAFE_METHODS:
        raise SignatureError("only reads are forwarded")
    return Caller("worker", frozenset(scope for scope in SCOPES if scope in scopes), key_id, name)


def _mac(request: Forwarded, payload: str, key: bytes) -> str:
    digest = hashlib.sha256(request.body).hexdigest()
    fields = [VERSION, request.method, request.target, request.to.rstrip("/"), digest, payload]
    return hmac.new(key, json.dumps(fields).encode(), hashlib.sha256).hexdigest()
