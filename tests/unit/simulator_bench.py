"""Right requests for the simulators, to be spoilt by the tests, and what sends them."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import ssl
import time
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import http_ece
import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.simulators import ProviderSimulators, Subscription

T = TypeVar("T")
LIMIT_SECONDS = 20.0
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_ms = int(time.time()) * 1000

    def __call__(self) -> int:
        """The instant."""
        return self.now_ms

    @property
    def seconds(self) -> int:
        """The instant in seconds."""
        return self.now_ms // 1000


@dataclass(frozen=True)
class Call:
    """One request. `headers` may name one twice."""

    url: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    method: str = "POST"

    def with_header(self, name: str, value: str | None) -> Call:
        """The same with another value for one header, or without it."""
        rest = [(other, held) for other, held in self.headers if other != name]
        return replace(self, headers=rest if value is None else [*rest, (name, value)])

    def with_json(self, body: Any) -> Call:
        """The same with another body."""
        return replace(self, body=json.dumps(body).encode())


@dataclass
class Bench:
    """The simulators on a loop of their own, a clock, and senders. Each test has its own, or shares one by module."""

    directory: Path
    clock: Clock = field(default_factory=Clock)
    log_file: Path | None = None

    def __enter__(self) -> Bench:
        """Start."""
        self.runner = asyncio.Runner()
        self.sims = ProviderSimulators(self.directory, self.clock, log_file=self.log_file)
        self.run(self.sims.__aenter__())
        self.tls = ssl.create_default_context(cafile=self.sims.ca_file)
        account = json.loads(self.sims.fcm.service_account_file.read_text())
        self.service_account: dict[str, str] = account
        self.vapid_key = load_key(self.sims.webpush.vapid_key_file)
        self.access_token = ""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.run(self.sims.__aexit__(None, None, None))
        self.runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end, within the limit."""

        async def limited() -> T:
            async with asyncio.timeout(LIMIT_SECONDS):
                return await work

        return self.runner.run(limited())

    def send(self, *calls: Call, http2: bool = True) -> list[httpx.Response]:
        """Send one after the other on one new connection."""

        async def exchange() -> list[httpx.Response]:
            async with httpx.AsyncClient(http1=not http2, http2=http2, verify=self.tls) as client:
                return [
                    await client.request(call.method, call.url, headers=call.headers, content=call.body)
                    for call in calls
                ]

        return self.run(exchange())

    def send_one(self, call: Call, http2: bool = True) -> httpx.Response:
        """Send one on a new connection."""
        return self.send(call, http2=http2)[0]

    def provider_token(
        self, *, key: Any = None, algorithm: str = "ES256", header: dict[str, str] | None = None, **claims: Any
    ) -> str:
        """A provider token for APNs, right unless told otherwise; a claim of None is left out."""
        apns = self.sims.apns
        all_claims = {"iss": apns.team_id, "iat": self.clock.seconds, **claims}
        kept = {name: value for name, value in all_claims.items() if value is not None}
        headers = {"kid": apns.key_id} if header is None else header
        return jwt.encode(kept, key or load_key(apns.key_file), algorithm, headers=headers)

    def apns_call(self, device: str | None = None, notification_id: str = "n-1") -> Call:
        """A right request to APNs."""
        apns = self.sims.apns
        headers = [
            ("authorization", f"bearer {self.provider_token()}"),
            ("apns-topic", apns.topic),
            ("apns-push-type", "alert"),
            ("apns-id", str(uuid.uuid4())),
            ("apns-expiration", str(self.clock.seconds + 3600)),
            ("apns-priority", "10"),
            ("apns-collapse-id", "slot-1"),
        ]
        call = Call(f"{apns.url}/3/device/{device or apns.new_device()}", headers)
        aps = {"alert": {"title": "Hello", "body": "World"}}
        return call.with_json({"aps": aps, "notification_id": notification_id, "type": "greeting", "user_id": "u-1"})

    def assertion(self, *, key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
        """An assertion for the token endpoint, right unless told otherwise; a claim of None is left out."""
        all_claims = {
            "iss": self.service_account["client_email"],
            "aud": self.service_account["token_uri"],
            "scope": SCOPE,
            "iat": self.clock.seconds,
            "exp": self.clock.seconds + 3600,
            **claims,
        }
        kept = {name: value for name, value in all_claims.items() if value is not None}
        headers = {"kid": self.service_account["private_key_id"]}
        return jwt.encode(kept, key or self.service_account["private_key"], algorithm, headers=headers)

    def token_call(self, assertion: str | None = None, grant_type: str = GRANT_TYPE) -> Call:
        """A right request to the token endpoint."""
        form = httpx.QueryParams({"grant_type": grant_type, "assertion": assertion or self.assertion()})
        headers = [("content-type", "application/x-www-form-urlencoded")]
        return Call(self.sims.fcm.token_url, headers, str(form).encode())

    def fcm_call(self, device: str | None = None, notification_id: str = "n-1") -> Call:
        """A right request to FCM, with an access token that is fetched when there is none."""
        fcm = self.sims.fcm
        if not self.access_token:
            self.access_token = self.send_one(self.token_call()).json()["access_token"]
        headers = [("authorization", f"Bearer {self.access_token}"), ("content-type", "application/json")]
        call = Call(f"{fcm.url}/v1/projects/{fcm.project_id}/messages:send", headers)
        return call.with_json({"message": fcm_message(device or fcm.new_device(), notification_id)})

    def vapid(self, *, key: ec.EllipticCurvePrivateKey | None = None, k: str | None = None, **claims: Any) -> str:
        """A VAPID header, right unless told otherwise; a claim of None is left out."""
        signer = key or self.vapid_key
        all_claims = {
            "aud": self.sims.webpush.url,
            "exp": self.clock.seconds + 3600,
            "sub": self.sims.webpush.vapid_subject,
            **claims,
        }
        kept = {name: value for name, value in all_claims.items() if value is not None}
        return f"vapid t={jwt.encode(kept, signer, 'ES256')}, k={k or base64url(point(signer))}"

    def webpush_call(self, subscription: Subscription | None = None, notification_id: str = "n-1") -> Call:
        """A right request to the Web Push service."""
        receiver = subscription or self.sims.webpush.new_subscription()
        headers = [
            ("authorization", self.vapid()),
            ("ttl", "3600"),
            ("urgency", "high"),
            ("topic", "slot-1"),
            ("content-encoding", "aes128gcm"),
        ]
        data = {"notification_id": notification_id, "type": "greeting", "user_id": "u-1"}
        payload = json.dumps({"title": "Hello", "body": "World", "data": data})
        return Call(receiver.endpoint, headers, encrypt(payload.encode(), receiver))

    def webhook_call(
        self,
        endpoint: str | None = None,
        notification_id: str = "n-1",
        *,
        secret: bytes | None = None,
        body: bytes = b"",
    ) -> Call:
        """A right request to the receiver of webhooks."""
        data = {"notification_id": notification_id, "user_id": "u-1", "collapse_id": "slot-1", "ttl_seconds": 3600}
        body = body or json.dumps({"type": "greeting", "data": data}).encode()
        webhook_id, timestamp = str(uuid.uuid4()), str(self.clock.seconds)
        signed = b".".join((webhook_id.encode(), timestamp.encode(), body))
        digest = hmac.new(secret or self.sims.webhook.secrets[0], signed, "sha256").digest()
        headers = [
            ("content-type", "application/json"),
            ("webhook-id", webhook_id),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", "v1," + base64.b64encode(digest).decode()),
        ]
        return Call(endpoint or self.sims.webhook.new_endpoint(), headers, body)


def fcm_message(token: str, notification_id: str = "n-1") -> dict[str, Any]:
    """A message that uses what a sender of ours would use."""
    return {
        "token": token,
        "notification": {"title": "Hello", "body": "World"},
        "data": {"notification_id": notification_id, "type": "greeting", "user_id": "u-1", "push_id": "p-1"},
        "android": {
            "ttl": "3600s",
            "priority": "HIGH",
            "collapse_key": "slot-1",
            "notification": {"tag": "slot-1"},
        },
    }


def encrypt(payload: bytes, subscription: Subscription) -> bytes:
    """RFC 8291 by an implementation that is not ours."""
    encrypted: bytes = http_ece.encrypt(
        payload,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=unbase64url(subscription.p256dh),
        auth_secret=unbase64url(subscription.auth),
        version="aes128gcm",
    )
    return encrypted


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A P-256 key from a PEM file."""
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public key as it travels."""
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def base64url(value: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def unbase64url(value: str) -> bytes:
    """Without padding."""
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
