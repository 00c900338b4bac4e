"""Changes of devices as people write them, checked as far as can be seen before anybody has decided."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from pydantic import BaseModel, ConfigDict

from connectors.addresses import address_fault
from connectors.outcome import Device, ProviderName
from schemas.codec import Codec
from schemas.keys import check_user_id
from schemas.poison import PoisonError
from streams.publish.lines import DeviceLine, read_line
from streams.publish.messages import Message
from streams.publish.names import DeviceId, RequestedBy, RequestId, UserId
from streams.settings import Settings
from streams.stages.device_change import check_device_id, check_request


def private_allowed(settings: Settings) -> frozenset[ProviderName]:
    """Return the providers whose addresses may lead into our own network."""
    return frozenset(
        name for name in ProviderName if getattr(getattr(settings, name.value), "allow_private_endpoints", False)
    )


class RegisterLine(DeviceLine):
    """A device of a user, and who asks."""

    user_id: UserId
    request_id: RequestId = ""
    requested_by: RequestedBy = ""


class RemoveLine(BaseModel):
    """The device that is to go, and who asks."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: UserId
    device_id: DeviceId
    request_id: RequestId = ""
    requested_by: RequestedBy = ""


class DeviceChangeEncoder:
    """Turns them into messages for `device-changes`. `now_ms` stands in for instants that are not given.

    `allow_private`: the providers whose addresses may lead into our own network.
    """

    def __init__(
        self, codec: Codec, topic: str, now_ms: Callable[[], int], allow_private: Collection[ProviderName]
    ) -> None:
        self._codec = codec
        self._topic = topic
        self._now_ms = now_ms
        self._allow_private = allow_private

    def register(self, values: dict[str, Any]) -> Message:
        """A message that registers a device. Raises ValueError with a sentence."""
        line = read_line(RegisterLine, values)
        provider = ProviderName(line.provider.lower())
        device = Device(line.device_id, provider, line.address, line.p256dh, line.auth)
        fault = address_fault(device, allow_private=provider in self._allow_private)
        if fault is not None:
            raise ValueError(fault)
        return self._message(line, {"action": "REGISTER", **line.model_dump(), "provider": provider.value})

    def remove(self, values: dict[str, Any]) -> Message:
        """A message that removes a device. Raises ValueError with a sentence."""
        line = read_line(RemoveLine, values)
        return self._message(line, {"action": "REMOVE", **line.model_dump()})

    def _message(self, line: RegisterLine | RemoveLine, record: dict[str, Any]) -> Message:
        key = line.user_id.encode()
        try:
            check_user_id(key)
            check_device_id(line.device_id)
            check_request(line.request_id, line.requested_by)
        except PoisonError as error:
            raise ValueError(error.reason) from None
        record["requested_at"] = self._now_ms()
        return Message(key, self._codec.encode("DeviceChange", record, self._topic))
