"""The three outcomes of a request to a push provider, and what a provider connector is.

A *send* is a request that reached a provider or may have. Only three things can be said of it afterwards, and the
difference between the second and the third is what the promise rests on: `NotSent` is a certainty, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class ProviderName(StrEnum):
    """The providers, by the names that metrics, statuses and settings use."""

    APNS = "apns"
    FCM = "fcm"
    WEBPUSH = "webpush"
    WEBHOOK = "webhook"


@dataclass(slots=True)  # frozen, it would take three times as long to make one for each push
class Device:
    """One address that a provider can reach; the fields are those of schemas/avsc/devices.avsc. Nobody changes it."""

    device_id: str
    provider: ProviderName
    address: str
    p256dh: str | None = None
    auth: str | None = None
    registered_at_ms: int = 0


# The providers whose addresses name the server that answers.
_MANY_SERVERS = frozenset((ProviderName.WEBHOOK, ProviderName.WEBPUSH))


def service_of(device: Device) -> str:
    """Return who answers for a device: the provider or, where the address is a URL, its origin (`webpush host:port`).

    Each service has its own pace and its own breaker. What is no URL is the provider's own.
    """
    if device.provider not in _MANY_SERVERS:
        return device.provider._value_  # `value` is a property, and four times as slow
    host = device.address.partition("://")[2].partition("/")[0]
    return f"{device.provider.value} {host[:_HOST_CHARACTERS_MAX]}" if host else device.provider.value


_HOST_CHARACTERS_MAX = 255


@dataclass(slots=True)  # not frozen: see Device
class Push:
    """One notification for one device, rendered: all that a connector needs to build its request. Nobody changes it.

    `collapse_id` is derived from the slot, at most 32 URL-safe characters (the strictest limit is that of RFC 8030
    section 5.4), so that a device that was off shows one. `push_id` is a UUID in canonical form, the same over all
    attempts. `ttl_seconds` is at most the window. `image`: an https URL of what is shown beside the text. `link`: a URL
    of the web or of the app that a tap opens.
    """

    push_id: str
    notification_id: str
    type: str
    device: Device
    title: str
    body: str
    data: Mapping[str, str]
    ttl_seconds: int
    collapse_id: str
    urgent: bool = True
    image: str | None = None
    link: str | None = None


@dataclass(slots=True)  # not frozen: see Device
class Accepted:
    """The provider took it (2xx). `reference` is the provider's own id for it, empty where it gives none."""

    status: int
    reference: str = ""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Certain: the provider did not take it and will not deliver it.

    `reason` is the provider's own word (`BadDeviceToken`), or ours for what happened before any answer
    (`connect_failed`, `refused_stream`, `goaway`, `deadline_passed`, `payload_too_large`).
    `retry`: another attempt may succeed. `retry_after_seconds`: not sooner than this, where the provider said so
    or its documentation does. `gone_at_ms`: the address is no longer valid since that instant (remove it unless it
    was registered later); None: nothing said about the address.
    `provider_wide`: the reason concerns every push to this provider (credentials, throttling), not this device.
    """

    reason: str
    retry: bool
    status: int | None = None
    retry_after_seconds: float | None = None
    gone_at_ms: int | None = None
    provider_wide: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been sent: written without an answer, or an answer that does not prove refusal.

    `retry_after_seconds`: a type that has it sent again does so not sooner than this, where the provider said so or its
    documentation does.
    """

    reason: str
    status: int | None = None
    retry_after_seconds: float | None = None


Outcome = Accepted | NotSent | Unknown


def connector_failed(error: Exception) -> Unknown:
    """The outcome where a connector raises, which it must not: nobody knows how far it came."""
    return Unknown(f"connector_failed: {type(error).__name__}")


class Connector(Protocol):
    """What speaks to one provider. One instance serves a whole worker and many pushes at once.

    `send` never raises for anything that the network, the provider or the push itself can cause; it returns an
    outcome within its own time limit. Cancelling it while the request may be on the wire is for the caller to count
    as `Unknown`.
    """

    name: ProviderName

    async def start(self) -> None:
        """Open what is long-lived. Does not need the provider to be reachable."""

    async def send(self, push: Push, may_start: Callable[[], bool]) -> Outcome:
        """Send one push. `may_start` is asked right before the request is written; on False it is not written and
        the outcome is `NotSent("deadline_passed", retry=False)`."""

    async def close(self) -> None:
        """Close the connections; what is in flight ends as `Unknown` or with its answer."""
