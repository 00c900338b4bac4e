"""A strict stand-in of Firebase Cloud Messaging, HTTP v1, with its token endpoint.

Sources: Firebase, "REST Resource: projects.messages", "ErrorCode", "Send messages using the HTTP v1 API".
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.outcome import ProviderName
from connectors.simulators.exchange import Request, Response, json_response
from connectors.simulators.faults import Fault, Faults, Strike
from connectors.simulators.fcm_message import TTL_SECONDS_MAX, duration_seconds, normalize
from connectors.simulators.fcm_refusal import (
    fcm_error,
    invalid_argument,
    invalid_json,
    permission_denied,
    refuse,
    unauthenticated,
)
from connectors.simulators.fcm_token_endpoint import TokenEndpoint
from connectors.simulators.listener import Listener
from connectors.simulators.provider import Clock, ProviderSimulator, RefusedError, retry_after
from connectors.simulators.push_log import PushLog
from connectors.simulators.tls import Authority

# Keys and values of the data and of the notification, together.
PAYLOAD_BYTES_MAX = 4096
# Without a ttl FCM keeps a message for four weeks.
TTL_SECONDS_DEFAULT = TTL_SECONDS_MAX
_SEND_PATH = re.compile(r"/v1/projects/([^/]+)/messages:send")
_RESERVED_KEYS = {"from", "message_type", "gcm", "google"}
_RESERVED_PREFIXES = ("google.", "gcm.")
# Firebase Installations: 17 bytes that begin with 0111, in base64url without its last character.
_INSTALLATION_ID = re.compile(r"[c-f][A-Za-z0-9_-]{21}")
_TOKEN = re.compile(r"[A-Za-z0-9_:-]{32,4096}")


@dataclass(slots=True)
class _Device:
    sender: str
    unregistered_at_ms: int | None = None


class FcmSimulator(ProviderSimulator):
    """FCM for one project and one service account. `token_faults` is the plan of the token endpoint."""

    name = ProviderName.FCM

    def __init__(self, directory: Path, authority: Authority, log: PushLog, clock_ms: Clock) -> None:
        super().__init__(log, clock_ms)
        self.project_id = "ringonce-simulated"
        self.service_account_file = directory / "service-account.json"
        self.token_faults = Faults()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = secrets.token_hex(20)
        self._client_email = f"sender@{self.project_id}.iam.gserviceaccount.com"
        self.tokens = TokenEndpoint(self._client_email, self._key_id, self._key.public_key(), clock_ms)
        self.listener = Listener(self, authority, self.faults)
        self._devices: dict[str, _Device] = {}

    @property
    def url(self) -> str:
        """What stands for https://fcm.googleapis.com."""
        return self.listener.origin

    @property
    def token_url(self) -> str:
        """What stands for https://oauth2.googleapis.com/token."""
        return self.tokens.url

    def started(self) -> None:
        """Write the service account's key file; its token_uri is known only now."""
        self.tokens.url = self.listener.origin + self.tokens.path
        account = {
            "type": "service_account",
            "project_id": self.project_id,
            "private_key_id": self._key_id,
            "private_key": self._key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode(),
            "client_email": self._client_email,
            "client_id": str(10**20 + secrets.randbelow(10**20)),
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": self.token_url,
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url": f"https://www.googleapis.com/robot/v1/metadata/x509/{self._client_email}",
            "universe_domain": "googleapis.com",
        }
        self.service_account_file.touch(mode=0o600)
        self.service_account_file.write_text(json.dumps(account, indent=2), encoding="utf-8")

    def new_device(self, sender: str | None = None) -> str:
        """Register an app instance: its registration token. `sender`: the project that it is for, by default ours."""
        token = f"{secrets.token_urlsafe(16)}:APA91b{secrets.token_urlsafe(99)}"
        self._devices[token] = _Device(self.project_id if sender is None else sender)
        return token

    def new_installation(self) -> str:
        """Register an app instance as newer SDKs do: its Firebase Installation ID."""
        installation_id = secrets.choice("cdef") + secrets.token_urlsafe(17)[1:22]
        self._devices[installation_id] = _Device(self.project_id)
        return installation_id

    def unregister(self, address: str, at_ms: int | None = None) -> None:
        """The app was removed at `at_ms` (now). Raises KeyError for a token that was never given out."""
        self._devices[address].unregistered_at_ms = self.clock_ms() if at_ms is None else at_ms

    def faults_for(self, request: Request) -> Faults:
        """The token endpoint has a plan of its own."""
        return self.token_faults if request.path == self.tokens.path else self.faults

    def respond(self, request: Request) -> Response:
        """Take the request or refuse it; the token endpoint's are not counted as pushes."""
        if request.path != self.tokens.path:
            return super().respond(request)
        try:
            return self.tokens.accept(request)
        except RefusedError as refusal:
            return refusal.response

    def accept(self, request: Request) -> Response:
        """Check one send request, in the order of Google's layers: path, credentials, format, message, device."""
        match = _SEND_PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            raise refuse(404, "NOT_FOUND", "The requested URL was not found on this server.")
        self._authenticate(request)
        if match[1] != self.project_id:
            raise permission_denied(match[1])
        message, validate_only = self._parse(request)
        android = message.get("android", {})
        ttl_seconds = TTL_SECONDS_DEFAULT
        if "ttl" in android:
            ttl_seconds = int(duration_seconds(android["ttl"]))
            if not 0 <= duration_seconds(android["ttl"]) <= TTL_SECONDS_MAX:
                raise invalid_argument("message.android.ttl", "Invalid ttl: must be between 0 and 2419200 seconds")
        address = self._target(message)
        fields = {**message.get("data", {}), **android.get("data", {})}
        _check_data(fields)
        link = message.get("webpush", {}).get("fcm_options", {}).get("link")
        if link is not None and not link.lower().startswith("https://"):
            raise invalid_argument("message.webpush.fcm_options.link", "Invalid link: must be a HTTPS URL")
        _check_size(message, fields)
        self._check_device(address)
        if validate_only:
            return json_response(200, {"name": f"projects/{self.project_id}/messages/fake_message_id"})
        now_ms = self.clock_ms()
        self.record(
            request,
            address,
            fields,
            push_id="",
            # The tag replaces what is on the screen; the collapse key only what still waits.
            collapse_id=android.get("notification", {}).get("tag") or android.get("collapse_key", ""),
            expires_at_ms=now_ms + ttl_seconds * 1000,
        )
        name = f"projects/{self.project_id}/messages/0:{now_ms}{secrets.randbelow(1000):03}%{secrets.token_hex(8)}"
        return json_response(200, {"name": name})

    def void_credential(self, request: Request) -> RefusedError:
        """Revoke the access token of this request."""
        self.tokens.revoke(_bearer(request) or "")
        return unauthenticated(missing=False)

    def unavailable(self, strike: Strike) -> RefusedError:
        """FCM's words for an exceeded quota, an internal error and a service that is overloaded."""
        headers = retry_after(strike)
        match strike.fault:
            case Fault.THROTTLE:
                message = "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute'"
                return fcm_error(429, "RESOURCE_EXHAUSTED", message, "QUOTA_EXCEEDED", headers)
            case Fault.INTERNAL:
                return fcm_error(500, "INTERNAL", "Internal error encountered.", "INTERNAL")
            case _:
                message = "The service is currently unavailable."
                return fcm_error(503, "UNAVAILABLE", message, "UNAVAILABLE", headers)

    def _authenticate(self, request: Request) -> None:
        token = _bearer(request)
        if token is None:
            raise unauthenticated(missing=True)
        if not self.tokens.is_good(token):
            raise unauthenticated(missing=False)

    def _parse(self, request: Request) -> tuple[dict[str, Any], bool]:
        content_type = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise invalid_json([("", f"Invalid content type: {content_type or 'none'}, expected application/json.")])
        try:
            body = json.loads(request.body)
        except (ValueError, RecursionError):
            raise invalid_json([("", "Invalid JSON payload received. Unexpected token.")]) from None
        normal, violations = normalize(body)
        if violations:
            raise invalid_json(violations)
        if "message" not in normal:
            raise invalid_argument("message", "Message is missing")
        return normal["message"], normal.get("validate_only", False)

    def _target(self, message: dict[str, Any]) -> str:
        targets = [name for name in ("fid", "token", "topic", "condition") if message.get(name)]
        if not targets:
            raise invalid_argument("message", "Recipient of the message is not set.")
        if len(targets) > 1:
            raise invalid_json([(f"message.{targets[1]}", "oneof field 'target' is already set.")])
        if targets[0] not in ("fid", "token"):
            raise invalid_argument(f"message.{targets[0]}", "The simulator knows single devices only")
        address: str = message[targets[0]]
        if targets[0] == "fid" and not _INSTALLATION_ID.fullmatch(address):
            raise invalid_argument("message.fid", "Invalid Firebase Installation ID")
        return address

    def _check_device(self, address: str) -> None:
        device = self._devices.get(address)
        if device is None:
            if (_TOKEN.fullmatch(address) and ":" in address) or _INSTALLATION_ID.fullmatch(address):
                # The form is right: FCM says of such a token that it is not (or no more) registered.
                raise _unregistered()
            raise fcm_error(
                400,
                "INVALID_ARGUMENT",
                "The registration token is not a valid FCM registration token",
                "INVALID_ARGUMENT",
            )
        if device.sender != self.project_id:
            raise fcm_error(403, "PERMISSION_DENIED", "SenderId mismatch", "SENDER_ID_MISMATCH")
        if device.unregistered_at_ms is not None:
            raise _unregistered()


def _unregistered() -> RefusedError:
    return fcm_error(404, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED")


def _bearer(request: Request) -> str | None:
    scheme, _, token = (request.header(b"authorization") or "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def _check_data(fields: dict[str, Any]) -> None:
    for key in fields:
        if key in _RESERVED_KEYS or key.startswith(_RESERVED_PREFIXES):
            raise invalid_argument("message.data", f"Invalid data payload key: {key}")


def _check_size(message: dict[str, Any], fields: dict[str, str]) -> None:
    notification = {**message.get("notification", {}), **message.get("android", {}).get("notification", {})}
    size = sum(len(key.encode()) + len(value.encode()) for key, value in fields.items())
    size += sum(len(value.encode()) for value in notification.values() if isinstance(value, str))
    if size > PAYLOAD_BYTES_MAX:
        raise invalid_argument("message", "Message is too big")
