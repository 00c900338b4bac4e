"""A strict stand-in of a webhook receiver.

Source: the Standard Webhooks specification 1.0.0, "Verifying signatures" and "Delivery success and failure".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from pathlib import Path
from typing import Any

from connectors.outcome import ProviderName
from connectors.simulators.exchange import Request, Response, json_response
from connectors.simulators.faults import Fault, Strike
from connectors.simulators.listener import Listener
from connectors.simulators.provider import Clock, ProviderSimulator, RefusedError, retry_after
from connectors.simulators.push_log import PushLog
from connectors.simulators.tls import Authority

BODY_BYTES_MAX = 20_000  # "Usually smaller than 20kb"
TOLERANCE_SECONDS = 300  # what the specification's own libraries take
_PATH = "/hooks/"
# No full stop: it separates what is signed.
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class WebhookSimulator(ProviderSimulator):
    """A receiver with many endpoints. `secrets` are those it takes: an old one and its successor."""

    name = ProviderName.WEBHOOK

    def __init__(self, directory: Path, authority: Authority, log: PushLog, clock_ms: Clock) -> None:
        super().__init__(log, clock_ms)
        self.secrets = [secrets.token_bytes(32), secrets.token_bytes(32)]
        self.secret_file = directory / "webhook-secrets"
        self.secret_file.touch(mode=0o600)
        lines = (f"whsec_{base64.b64encode(secret).decode()}\n" for secret in self.secrets)
        self.secret_file.write_text("".join(lines), encoding="ascii")
        self.listener = Listener(self, authority, self.faults)
        # A signature that comes again is a replay, however right it is; an attempt of the sender has another timestamp.
        self._taken: set[str] = set()
        self._gone: dict[str, bool] = {}

    @property
    def url(self) -> str:
        """The origin of all endpoints."""
        return self.listener.origin

    def new_endpoint(self) -> str:
        """Register an endpoint: its URL, by which it is unregistered and recorded."""
        path = _PATH + secrets.token_urlsafe(16)
        self._gone[path] = False
        return self.url + path

    def unregister(self, address: str, at_ms: int | None = None) -> None:
        """The receiver wants nothing any more and answers 410; `at_ms` is taken for the sake of the other simulators.

        Raises KeyError for an endpoint that was never given out.
        """
        path = address.removeprefix(self.url)
        if path not in self._gone:
            raise KeyError(address)
        self._gone[path] = True

    def accept(self, request: Request) -> Response:
        """Check one message: where it goes, who it is from, and whether it came before."""
        gone = self._gone.get(request.path)
        if gone is None:
            raise _refuse(404, "not_found", "No such endpoint")
        if request.method != "POST":
            raise _refuse(405, "method_not_allowed", "Only POST is possible", ((b"allow", b"POST"),))
        if gone:
            raise _refuse(410, "gone", "This endpoint takes no webhooks any more")
        if request.body_bytes > BODY_BYTES_MAX:
            raise _refuse(413, "payload_too_large", f"The body must not exceed {BODY_BYTES_MAX} bytes")
        webhook_id, signature = self._verify(request)
        payload = _payload(request)
        if signature in self._taken:
            raise _refuse(409, "replayed", "This very message was taken before")
        self._taken.add(signature)
        data, ttl_seconds = payload["data"], payload["data"].get("ttl_seconds")
        self.record(
            request,
            self.url + request.path,
            {"type": payload["type"], **data},
            push_id=webhook_id,
            collapse_id=str(data.get("collapse_id", "")),
            expires_at_ms=self.clock_ms() + ttl_seconds * 1000 if isinstance(ttl_seconds, int) else None,
        )
        return Response(204)

    def void_credential(self, request: Request) -> RefusedError:
        """The older secret is withdrawn, and this message had been signed with it alone, as it were."""
        del self.secrets[:-1]
        return _refuse(401, "bad_signature", "No signature matches")

    def unavailable(self, strike: Strike) -> RefusedError:
        """What the specification names: a rate limit, an error, and a server that is overloaded."""
        match strike.fault:
            case Fault.THROTTLE:
                return _refuse(429, "too_many_requests", "Too many requests", retry_after(strike))
            case Fault.INTERNAL:
                return _refuse(500, "internal", "Internal server error")
            case _:
                return _refuse(503, "unavailable", "Service unavailable", retry_after(strike))

    def _verify(self, request: Request) -> tuple[str, str]:
        """The id and one right signature."""
        webhook_id = request.header(b"webhook-id") or ""
        timestamp = request.header(b"webhook-timestamp") or ""
        if not _ID.fullmatch(webhook_id):
            raise _refuse(400, "bad_id", "webhook-id is missing or malformed")
        if not _TIMESTAMP.fullmatch(timestamp):
            raise _refuse(400, "bad_timestamp", "webhook-timestamp is missing or not in whole seconds")
        if abs(self.clock_ms() / 1000 - int(timestamp)) > TOLERANCE_SECONDS:
            raise _refuse(401, "stale_timestamp", "webhook-timestamp is too old or too new")
        signed = f"{webhook_id}.{timestamp}.".encode() + request.body
        for signature in (request.header(b"webhook-signature") or "").split(" "):
            version, _, text = signature.partition(",")
            try:
                digest = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                continue
            if version == "v1" and any(
                hmac.compare_digest(digest, hmac.digest(secret, signed, hashlib.sha256)) for secret in self.secrets
            ):
                return webhook_id, signature
        raise _refuse(401, "bad_signature", "No signature matches")


def _payload(request: Request) -> dict[str, Any]:
    if (request.header(b"content-type") or "").partition(";")[0].strip() != "application/json":
        raise _refuse(415, "unsupported_media_type", "Content-Type must be application/json")
    try:
        payload = json.loads(request.body)
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict) or not (payload.get("type") and isinstance(payload["type"], str)):
        raise _refuse(400, "bad_payload", "The body must be a JSON object with a type")
    if not isinstance(payload.get("data"), dict):
        raise _refuse(400, "bad_payload", "data must be an object")
    return payload


def _refuse(status: int, reason: str, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> RefusedError:
    return RefusedError(reason, json_response(status, {"error": message}, *headers))
