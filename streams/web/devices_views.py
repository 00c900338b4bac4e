"""The devices of a user: registered and removed through Kafka, shown by whoever owns the user's partition.

202 means that Kafka has it for good. It is decided in the user's partition, some milliseconds later.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import BaseModel

from connectors.outcome import Device, ProviderName
from schemas.codec import Codec
from streams.publish.device_changes import DeviceChangeEncoder
from streams.publish.intake import Intake
from streams.publish.messages import Message
from streams.stages.delivery_rows import devices_key, read_devices
from streams.web.asked import Asked, of_path
from streams.web.bodies import RefusedError
from streams.web.contract.users import AddressesQuery
from streams.web.directory_reads import DirectoryReads
from streams.web.routes import Routes

SHOWN_CHARACTERS = 4
AGAIN = "ask again: the same change twice is one"


def add_devices_views(
    routes: Routes,
    reads: DirectoryReads,
    intake: Intake,
    codec: Codec,
    topic: str,
    allow_private: Collection[ProviderName],
) -> None:
    """Add the views; the caller closes `intake`. `topic`: that of the changes."""
    encoder = DeviceChangeEncoder(codec, topic, lambda: time.time_ns() // 1_000_000, allow_private)

    async def put(asked: Asked) -> web.Response:
        """202: the device is registered, or said to be there again. 400: its address cannot be, and why."""
        return await take(asked, encoder.register)

    async def delete(asked: Asked) -> web.Response:
        """202: nothing more is sent to the device, if there is one of this id."""
        return await take(asked, encoder.remove)

    async def take(asked: Asked, encode: Callable[[dict[str, Any]], Message]) -> web.Response:
        body: BaseModel = asked.body
        values = body.model_dump(exclude_unset=True) | of_path(asked, "user_id", "device_id")
        values.setdefault("request_id", uuid.uuid4().hex)
        try:
            message = encode(values)
        except ValueError as error:
            raise RefusedError(400, str(error)) from None
        await intake.take(topic, [message])
        said = {"request_id": values["request_id"], **asked.path}
        return web.json_response(said, status=202)

    async def get(asked: Asked) -> web.Response:
        """200 with the devices of the user, none for one that nobody knows; addresses are masked unless asked for."""
        user = asked.path["user_id"]
        query: AddressesQuery = asked.query

        def read(partition: int, row: bytes | None) -> web.Response:
            devices = [shown(device, query.addresses == "full") for device in read_devices(row)]
            return web.json_response({"user_id": user, "partition": partition, "devices": devices})

        path = (b"users", user.encode(), b"devices")
        return await reads.of_owner(asked.request, user.encode(), path, devices_key(user.encode()), read)

    routes.add("devices", get)
    routes.add("putDevice", put, AGAIN)
    routes.add("deleteDevice", delete, AGAIN)


def shown(device: Device, in_full: bool) -> dict[str, Any]:
    """Return a device as it is shown. The keys of a subscription are secrets of the browser, and never are."""
    return {
        "device_id": device.device_id,
        "provider": device.provider.value,
        "address": device.address if in_full else masked(device.address),
        "registered_at": device.registered_at_ms,
    }


def masked(address: str) -> str:
    """Return enough of an address to tell it from others, and too little to send to it."""
    count, start, rest = SHOWN_CHARACTERS, "", address
    try:
        parts = urlsplit(address)
        if parts.hostname:
            start, rest = f"{parts.scheme}://{parts.hostname}/", parts.path + parts.query
    except ValueError:  # what others wrote to `devices` may be anything
        pass
    if len(rest) <= 4 * count:
        return f"{start}…"
    return f"{start or rest[:count]}…{rest[-count:]}"
