"""A strict stand-in of the Apple Push Notification service.

Sources: Apple, "Sending notification requests to APNs", "Handling notification responses from APNs" (status codes and
reasons) and "Establishing a token-based connection to APNs" (provider tokens).
"""

from __future__ import annotations

import json
import re
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from connectors.outcome import ProviderName
from connectors.simulators.apns_provider_token import ProviderTokens
from connectors.simulators.apns_refusal import refuse
from connectors.simulators.exchange import Request, Response
from connectors.simulators.faults import Fault, Strike
from connectors.simulators.listener import Listener
from connectors.simulators.provider import Clock, ProviderSimulator, RefusedError, retry_after
from connectors.simulators.push_log import PushLog
from connectors.simulators.tls import Authority, write_private_key

PAYLOAD_BYTES_MAX = 4096
PAYLOAD_BYTES_MAX_VOIP = 5120
COLLAPSE_ID_BYTES_MAX = 64
# What is appended to the bundle id to make the topic of each push type.
TOPIC_SUFFIXES = {
    "alert": "",
    "background": "",
    "controls": ".push-type.controls",
    "location": ".location-query",
    "voip": ".voip",
    "complication": ".complication",
    "fileprovider": ".pushkit.fileprovider",
    "mdm": "",
    "liveactivity": ".push-type.liveactivity",
    "pushtotalk": ".voip-ptt",
    "widgets": ".push-type.widgets",
}
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_DEVICE_TOKEN = re.compile(r"[0-9a-fA-F]{64,200}")
_TOPIC = re.compile(r"[A-Za-z0-9.-]+")
_PATH = "/3/device/"


@dataclass(slots=True)
class _Device:
    topic: str
    unregistered_at_ms: int | None = None


class ApnsSimulator(ProviderSimulator):
    """APNs for one team, one signing key and one app. `topics`: the bundle ids that the key may push to."""

    name = ProviderName.APNS

    def __init__(self, directory: Path, authority: Authority, log: PushLog, clock_ms: Clock) -> None:
        super().__init__(log, clock_ms)
        self.key_id = "SIMKEY" + secrets.token_hex(2).upper()
        self.team_id = "SIMTEAM" + secrets.token_hex(2).upper()[:3]
        self.topic = "com.example.ringonce"
        self.topics = {self.topic}
        self.key_file = directory / f"AuthKey_{self.key_id}.p8"
        key = ec.generate_private_key(ec.SECP256R1())
        write_private_key(self.key_file, key)
        self.tokens = ProviderTokens(self.key_id, self.team_id, key.public_key(), clock_ms)
        # Apple: HTTP/2 only, and "only one stream until you post a request with a valid authentication token".
        self.listener = Listener(self, authority, self.faults, http1=False, one_stream_first=True)
        self._devices: dict[str, _Device] = {}

    @property
    def url(self) -> str:
        """What stands for https://api.push.apple.com."""
        return self.listener.origin

    def new_device(self, topic: str | None = None) -> str:
        """Register a device: its token, 64 hex digits. `topic`: the app that it is for, by default ours."""
        token = secrets.token_hex(32)
        self._devices[token] = _Device(self.topic if topic is None else topic)
        return token

    def unregister(self, address: str, at_ms: int | None = None) -> None:
        """The app was removed at `at_ms` (now). Raises KeyError for a token that was never given out."""
        self._devices[address].unregistered_at_ms = self.clock_ms() if at_ms is None else at_ms

    def accept(self, request: Request) -> Response:
        """Check one request; the cheap and general first."""
        if request.method != "POST":
            raise refuse(405, "MethodNotAllowed")
        if not request.path.startswith(_PATH):
            raise refuse(400, "MissingDeviceToken") if request.path == _PATH[:-1] else refuse(404, "BadPath")
        address = request.path[len(_PATH) :]
        if not address:
            raise refuse(400, "MissingDeviceToken")
        if "/" in address:
            raise refuse(404, "BadPath")
        if request.repeated_header:
            raise refuse(400, "DuplicateHeaders")
        self.tokens.check(request.header(b"authorization"), request.connection)
        apns_id = self._apns_id(request)
        push_type = request.header(b"apns-push-type") or ""
        if push_type not in TOPIC_SUFFIXES:
            raise refuse(400, "InvalidPushType", apns_id)
        expires_at_ms = self._expiration(request, apns_id)
        if request.header(b"apns-priority") not in ((None, "5", "1") if push_type == "background" else _PRIORITIES):
            # Apple: 10 is an error for a background push.
            raise refuse(400, "BadPriority", apns_id)
        collapse_id = request.header(b"apns-collapse-id") or ""
        if len(collapse_id) > COLLAPSE_ID_BYTES_MAX:
            raise refuse(400, "BadCollapseId", apns_id)
        bundle_id = self._bundle_id(request, push_type, apns_id)
        payload = self._payload(request, push_type, apns_id)
        self._check_device(address.lower(), bundle_id, apns_id)
        self.record(
            request,
            address.lower(),
            payload,
            push_id=apns_id,
            collapse_id=collapse_id,
            expires_at_ms=expires_at_ms,
        )
        return Response(200, ((b"apns-id", apns_id.encode()),))

    def void_credential(self, request: Request) -> RefusedError:
        """The provider token of this request counts as an hour old from now on."""
        self.tokens.expire(request.header(b"authorization") or "")
        return refuse(403, "ExpiredProviderToken")

    def unavailable(self, strike: Strike) -> RefusedError:
        """Apple's words for too many requests, an internal error and a service that is not there."""
        match strike.fault:
            case Fault.THROTTLE:
                return refuse(429, "TooManyRequests", headers=retry_after(strike))
            case Fault.INTERNAL:
                return refuse(500, "InternalServerError")
            case _:
                return refuse(503, "ServiceUnavailable", headers=retry_after(strike))

    def _apns_id(self, request: Request) -> str:
        apns_id = request.header(b"apns-id")
        if apns_id is None:
            return str(uuid.uuid4()).upper()
        if not _CANONICAL_UUID.fullmatch(apns_id):
            raise refuse(400, "BadMessageId")
        return apns_id

    def _expiration(self, request: Request, apns_id: str) -> int | None:
        expiration = request.header(b"apns-expiration")
        if expiration is None:
            return None
        if not (expiration.isascii() and expiration.isdigit() and len(expiration) <= 19):
            raise refuse(400, "BadExpirationDate", apns_id)
        return int(expiration) * 1000

    def _bundle_id(self, request: Request, push_type: str, apns_id: str) -> str:
        topic = request.header(b"apns-topic")
        if not topic:
            raise refuse(400, "MissingTopic", apns_id)
        if not _TOPIC.fullmatch(topic):
            raise refuse(400, "BadTopic", apns_id)
        suffix = TOPIC_SUFFIXES[push_type]
        bundle_id = topic.removesuffix(suffix)
        if bundle_id not in self.topics or bundle_id + suffix != topic:
            raise refuse(400, "TopicDisallowed", apns_id)
        return bundle_id

    def _payload(self, request: Request, push_type: str, apns_id: str) -> dict[str, Any]:
        if not request.body:
            raise refuse(400, "PayloadEmpty", apns_id)
        if request.body_bytes > (PAYLOAD_BYTES_MAX_VOIP if push_type == "voip" else PAYLOAD_BYTES_MAX):
            raise refuse(413, "PayloadTooLarge", apns_id)
        try:
            payload = json.loads(request.body)
        except (ValueError, RecursionError):
            payload = None
        # Apple publishes no reason of its own for a payload that says nothing to the device.
        if not isinstance(payload, dict) or not (isinstance(payload.get("aps"), dict) or push_type == "mdm"):
            raise refuse(400, "PayloadEmpty", apns_id)
        return payload

    def _check_device(self, address: str, bundle_id: str, apns_id: str) -> None:
        device = self._devices.get(address)
        if device is None or not _DEVICE_TOKEN.fullmatch(address):
            raise refuse(400, "BadDeviceToken", apns_id)
        if device.topic != bundle_id:
            raise refuse(400, "DeviceTokenNotForTopic", apns_id)
        if device.unregistered_at_ms is not None:
            raise refuse(410, "Unregistered", apns_id, timestamp=device.unregistered_at_ms)


_PRIORITIES = (None, "10", "5", "1")
