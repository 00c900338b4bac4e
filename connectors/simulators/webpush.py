"""A strict stand-in of a Web Push service, and of the browser behind it: it decrypts what it gets.

Sources: RFC 8030 (the protocol), RFC 8188 and 8291 (encryption), RFC 8292 (VAPID).
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from connectors.outcome import ProviderName
from connectors.simulators.exchange import Request, Response
from connectors.simulators.faults import Fault, Strike
from connectors.simulators.listener import Listener
from connectors.simulators.provider import Clock, ProviderSimulator, RefusedError, retry_after
from connectors.simulators.push_log import PushLog
from connectors.simulators.tls import Authority, write_private_key
from connectors.simulators.webpush_encryption import UndecryptableError, decrypt, public_bytes
from connectors.simulators.webpush_refusal import refuse
from connectors.simulators.webpush_vapid import Vapid

BODY_BYTES_MAX = 4096  # what every service must take (RFC 8030 section 7.2); ours takes no more
TTL_SECONDS_MAX = 2_592_000  # what autopush keeps at most; longer is cut, not refused (RFC 8030 section 5.2)
# Making a key pair costs as much as a push; what keeps subscriptions apart is the endpoint and the secret.
KEY_PAIRS = 64
_ENDPOINT = "/push/"
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_URGENCIES = {"very-low", "low", "normal", "high"}


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a browser hands to the application server: `p256dh` (65 bytes) and `auth` (16) in base64url, unpadded."""

    endpoint: str
    p256dh: str
    auth: str


@dataclass(slots=True)
class _Browser:
    key: ec.EllipticCurvePrivateKey
    key_public: bytes
    auth: bytes
    gone_status: int | None = None


class WebPushSimulator(ProviderSimulator):
    """A push service whose subscriptions are restricted to one VAPID key."""

    name = ProviderName.WEBPUSH

    def __init__(self, directory: Path, authority: Authority, log: PushLog, clock_ms: Clock) -> None:
        super().__init__(log, clock_ms)
        self.vapid_key_file = directory / "vapid.pem"
        self.vapid_subject = "mailto:push@example.com"
        key = ec.generate_private_key(ec.SECP256R1())
        write_private_key(self.vapid_key_file, key)
        self.vapid = Vapid(public_bytes(key.public_key()), clock_ms)
        self.listener = Listener(self, authority, self.faults)
        # The message that waits for a device, by endpoint and Topic: a new one takes the old one's place.
        self.pending: dict[tuple[str, str], dict[str, Any]] = {}
        self._browsers: dict[str, _Browser] = {}
        self._key_pairs: list[tuple[ec.EllipticCurvePrivateKey, bytes]] = []

    @property
    def url(self) -> str:
        """The origin of all endpoints, and the `aud` of tokens."""
        return self.listener.origin

    def started(self) -> None:
        """The origin is known only now."""
        self.vapid.origin = self.listener.origin

    def new_subscription(self) -> Subscription:
        """Subscribe a browser. The endpoint is the address by which it is unregistered and recorded."""
        if len(self._key_pairs) < KEY_PAIRS:
            key = ec.generate_private_key(ec.SECP256R1())
            self._key_pairs.append((key, public_bytes(key.public_key())))
        key, key_public = self._key_pairs[len(self._browsers) % len(self._key_pairs)]
        path = _ENDPOINT + secrets.token_urlsafe(32)
        browser = self._browsers[path] = _Browser(key, key_public, secrets.token_bytes(16))
        return Subscription(self.url + path, _base64url(key_public), _base64url(browser.auth))

    def unregister(self, address: str, at_ms: int | None = None, *, status: int = 410) -> None:
        """The user withdrew: the endpoint answers 410, or 404 as some services do.

        `at_ms` is taken for the sake of the other simulators; a Web Push answer has no place for it. Raises
        KeyError for an endpoint that was never given out.
        """
        self._browsers[address.removeprefix(self.url)].gone_status = status

    def accept(self, request: Request) -> Response:
        """Check one message, then decrypt it."""
        browser = self._browsers.get(request.path)
        if browser is None:
            raise refuse(404, "not_found", 102, "Invalid URL endpoint")
        if request.method != "POST":
            raise refuse(405, "method_not_allowed", 0, "Only POST is possible", ((b"allow", b"POST"),))
        self.vapid.check(request.header(b"authorization"))
        if browser.gone_status == 404:
            raise refuse(404, "not_found", 102, "Invalid URL endpoint")
        if browser.gone_status is not None:
            raise refuse(410, "gone", 106, "Invalid subscription")
        ttl_seconds = _ttl_seconds(request)
        if request.header(b"urgency") not in {None, *_URGENCIES}:
            raise refuse(400, "invalid_urgency", 110, "Urgency must be very-low, low, normal or high")
        topic = request.header(b"topic")
        if topic is not None and not _TOPIC.fullmatch(topic):
            raise refuse(400, "invalid_topic", 113, "Topic must be 1 to 32 characters of the base64url alphabet")
        if request.body_bytes > BODY_BYTES_MAX:
            raise refuse(413, "payload_too_large", 104, f"The body must not exceed {BODY_BYTES_MAX} bytes")
        payload = _payload(request, browser)
        address = self.url + request.path
        if topic is not None and ttl_seconds > 0:
            self.pending[address, topic] = payload
        data = payload.get("data")
        self.record(
            request,
            address,
            data if isinstance(data, dict) else {},
            push_id="",
            collapse_id=topic or "",
            expires_at_ms=self.clock_ms() + ttl_seconds * 1000,
        )
        location = f"{self.url}/message/{secrets.token_urlsafe(16)}"
        return Response(201, ((b"location", location.encode()), (b"ttl", b"%d" % ttl_seconds)))

    def void_credential(self, request: Request) -> RefusedError:
        """Refuse the VAPID header of this request from now on."""
        self.vapid.void(request.header(b"authorization") or "")
        return refuse(403, "invalid_vapid", 109, "Invalid VAPID authorization: token is no longer valid")

    def unavailable(self, strike: Strike) -> RefusedError:
        """Too many requests (RFC 8030 section 8.4), an internal error, and a service that is overloaded."""
        match strike.fault:
            case Fault.THROTTLE:
                return refuse(429, "too_many_requests", 201, "Too many requests", retry_after(strike))
            case Fault.INTERNAL:
                return refuse(500, "internal", 999, "Unknown error")
            case _:
                return refuse(503, "unavailable", 201, "Use exponential back-off for retries", retry_after(strike))


def _ttl_seconds(request: Request) -> int:
    ttl = request.header(b"ttl")
    if ttl is None:
        raise refuse(400, "missing_ttl", 111, "Missing TTL header")
    if not (ttl.isascii() and ttl.isdigit() and len(ttl) <= 10):
        raise refuse(400, "invalid_ttl", 112, "Invalid TTL header value")
    return min(int(ttl), TTL_SECONDS_MAX)


def _payload(request: Request, browser: _Browser) -> dict[str, Any]:
    if not request.body:
        # RFC 8030 allows it; then there is nothing that could be encrypted, shown or recorded.
        raise refuse(400, "empty_body", 110, "A message without content cannot be routed")
    if request.header(b"content-encoding") != "aes128gcm":
        raise refuse(400, "invalid_content_encoding", 110, "Content-Encoding must be aes128gcm")
    try:
        payload = json.loads(decrypt(request.body, browser.key, browser.key_public, browser.auth))
    except UndecryptableError as error:
        raise refuse(400, "undecryptable", 110, f"Undecryptable: {error}") from None
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        raise refuse(400, "invalid_payload", 110, "The decrypted payload is not a JSON object")
    return payload


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
