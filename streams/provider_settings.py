"""How the push services and receivers of webhooks are reached. A provider without credentials is off."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FilePath, model_validator

from streams.setting_error import MissingSettingError


def _https(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("must be a URL that starts with https://")
    if parts.username or parts.password:
        raise ValueError("must not contain a user or a password")
    return url.rstrip("/")


def _contact(subject: str) -> str:
    if not subject.startswith(("mailto:", "https:")):
        raise ValueError(f"must start with mailto: or https:, is {subject}")
    return subject


# Apple, "Sending notification requests to APNs".
_APNS_URLS = {"production": "https://api.push.apple.com", "sandbox": "https://api.sandbox.push.apple.com"}

HttpsUrl = Annotated[str, AfterValidator(_https)]


class _Provider(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    request_timeout_seconds: float = Field(
        10.0, gt=0, le=60, description="Longest wait for the answer to one request; then its outcome is UNKNOWN."
    )
    connections: int = Field(
        2,
        ge=1,
        le=64,
        description="HTTP/2 connections that a worker keeps to it; of HTTP/1.1, where it speaks nothing newer, up to "
        "16 times as many.",
    )
    per_second_max: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="Pushes to it per second, over all workers: each partition has its equal share, and a worker the "
        "shares of its partitions. 0: no limit.",
    )
    ramp_up_seconds: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="From a tenth of that rate to all of it, when a worker starts and after an outage of the provider.",
    )
    breaker_failures: int = Field(
        20,
        ge=1,
        le=10_000,
        description="So many failures in a row (no answer, 5xx, refused credentials), or half of the last ten seconds "
        "with at least 50 requests, and it is left alone: what is meant for it waits unsent.",
    )
    breaker_seconds_max: float = Field(
        60.0, ge=5, le=3600, description="The longest wait until it is tried again, with one request; 5 s at first."
    )


class ApnsSettings(_Provider):
    """Apple Push Notification service, with a provider token (a .p8 key)."""

    environment: Literal["production", "sandbox"] = Field(
        "production", description="Which of Apple's two services: `sandbox` is for builds signed for development."
    )
    base_url: HttpsUrl | None = Field(None, description="Its base URL; unset: that of the environment.")
    key_file: FilePath | None = Field(None, description="The .p8 file of the signing key. Unset: APNs is off.")
    key_id: str | None = Field(None, description="The 10-character id of that key.")
    team_id: str | None = Field(None, description="The 10-character id of the developer team.")
    topic: str | None = Field(None, description="The bundle id of the app (header `apns-topic`).")

    @property
    def enabled(self) -> bool:
        return self.key_file is not None

    @property
    def url(self) -> str:
        """Where pushes go."""
        return self.base_url or _APNS_URLS[self.environment]

    @model_validator(mode="after")
    def _complete(self) -> ApnsSettings:
        for name in ("key_id", "team_id", "topic"):
            if self.enabled and not getattr(self, name):
                raise MissingSettingError(f"apns_{name}", "apns_key_file")
        return self


class FcmSettings(_Provider):
    """Firebase Cloud Messaging, HTTP v1 API, with a service account."""

    # Google: 600,000 messages a minute for a project, and traffic that rises over at least a minute.
    per_second_max: float = Field(
        10_000.0,
        ge=0,
        le=1_000_000,
        description="Pushes to it per second, over all workers: each partition has its equal share, and a worker the "
        "shares of its partitions. The default is Google's own quota for a project. 0: no limit.",
    )
    ramp_up_seconds: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="From a tenth of that rate to all of it, when a worker starts and after an outage of the provider.",
    )
    base_url: HttpsUrl = Field("https://fcm.googleapis.com", description="Its base URL.")
    token_url: HttpsUrl | None = Field(
        None, description="Where access tokens are asked for; unset: where the service account file says."
    )
    service_account_file: FilePath | None = Field(
        None, description="The JSON file of the service account. Unset: FCM is off."
    )
    validate_only: bool = Field(
        False,
        description="A dry run: FCM checks every message and delivers none, and what it takes counts as ACCEPTED.",
    )

    @property
    def enabled(self) -> bool:
        return self.service_account_file is not None


class WebPushSettings(_Provider):
    """Web Push (RFC 8030, 8291, 8292), with a VAPID key."""

    vapid_key_file: FilePath | None = Field(
        None, description="The PEM file of the P-256 VAPID key. Unset: Web Push is off."
    )
    subject: Annotated[str, AfterValidator(_contact)] | None = Field(
        None, description="Who push services may write to: `mailto:` or `https:` (RFC 8292)."
    )
    allow_private_endpoints: bool = Field(
        False,
        description="Send to endpoints on loopback and private addresses too. For stand-ins only: subscriptions come "
        "from outside, and their URLs must not reach into your network.",
    )

    @property
    def enabled(self) -> bool:
        return self.vapid_key_file is not None

    @model_validator(mode="after")
    def _complete(self) -> WebPushSettings:
        if self.enabled and not self.subject:
            raise MissingSettingError("webpush_subject", "webpush_vapid_key_file")
        return self


class WebhookSettings(_Provider):
    """Webhooks (Standard Webhooks 1.0.0), signed with a shared secret."""

    secret_file: FilePath | None = Field(
        None,
        description="The signing secrets, `whsec_…`, one a line; each message is signed with all. Unset: webhooks are "
        "off.",
    )
    allow_private_endpoints: bool = Field(
        False,
        description="Send to endpoints on loopback and private addresses too. Only where all who register one are your "
        "own: their URLs reach into your network.",
    )

    @property
    def enabled(self) -> bool:
        return self.secret_file is not None
