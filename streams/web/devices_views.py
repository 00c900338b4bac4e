"""The devices of a user: registered and removed through Kafka, shown by whoever owns the user's partition.

202 means that Kafka has it for good. It is decided in the user's partition, some milliseconds later.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection
from typing import Any, cast
from urllib.parse import urlsplit

from aiohttp import web

from connectors.outcome import Device, ProviderName
from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.lane.app import LaneApp, LaneWeb
from streams.publish.device_changes import DeviceChangeEncoder
from streams.publish.intake import Intake
from streams.publish.messages import Message
from streams.stages.delivery_rows import devices_key, read_devices
from streams.topics import TopicNames
from streams.web.answers import View, answered
from streams.web.bodies import RefusedError, read_object
from streams.web.directory_reads import DirectoryReads, read_path
from streams.web.routing import Routing

BODY_BYTES_MAX = 16 * 1024  # a Web Push subscription has less than 3 KiB
SHOWN_CHARACTERS = 4
AGAIN = "ask again: the same change twice is one"


def install_devices_views(
    app: LaneApp,
    routing: Routing,
    intake: Intake,
    codec: Codec,
    topics: TopicNames,
    allow_private: Collection[ProviderName],
) -> None:
    """Install the views; the caller closes `intake` and `routing`."""
    encoder = DeviceChangeEncoder(codec, topics.device_changes, lambda: time.time_ns() // 1_000_000, allow_private)
    reads = DirectoryReads(app, routing)

    async def put(request: web.Request) -> web.Response:
        """202: the device is registered, or said to be there again. 400: its address cannot be, and why."""
        return await take(request, await read_object(request, BODY_BYTES_MAX), encoder.register)

    async def delete(request: web.Request) -> web.Response:
        """202: nothing more is sent to the device, if there is one of this id."""
        return await take(request, await read_object(request, BODY_BYTES_MAX, may_be_missing=True), encoder.remove)

    async def take(
        request: web.Request, values: dict[str, Any], encode: Callable[[dict[str, Any]], Message]
    ) -> web.Response:
        user, device_id = read_path(request, 2, 4)
        for name, part in (("user_id", user), ("device_id", device_id)):
            if values.setdefault(name, part) != part:
                raise RefusedError(400, f"{name}: must be that of the path where both are given")
        values.setdefault("request_id", uuid.uuid4().hex)
        try:
            message = encode(values)
        except ValueError as error:
            raise RefusedError(400, str(error)) from None
        await intake.take(topics.device_changes, [message])
        said = {"request_id": values["request_id"], "user_id": user, "device_id": device_id}
        return web.json_response(said, status=202)

    async def get(request: web.Request) -> web.Response:
        """200 with the devices of the user, none for one that nobody knows; addresses are masked unless asked for."""
        (user,) = read_path(request, 2)
        in_full = _asks_for_addresses(request)

        def read(partition: int, row: bytes | None) -> web.Response:
            devices = [shown(device, in_full) for device in read_devices(row)]
            return web.json_response({"user_id": user, "partition": partition, "devices": devices})

        path = (b"users", user.encode(), b"devices")
        return await reads.of_owner(request, user.encode(), path, devices_key(user.encode()), read)

    def view(each: View) -> View:
        return answered(each, app.conf.id, AGAIN)

    router = cast(LaneWeb, app.web).web_app.router
    router.add_get("/users/{user_id}/devices", view(get))
    router.add_put("/users/{user_id}/devices/{device_id}", view(put))
    router.add_delete("/users/{user_id}/devices/{device_id}", view(delete))


def _asks_for_addresses(request: web.Request) -> bool:
    unknown = set(request.query) - {"addresses"}
    if unknown:
        raise PoisonError("INVALID_FIELD", f"{', '.join(sorted(unknown))}: no such parameter; addresses")
    asked = request.query.get("addresses", "masked")
    if asked not in ("masked", "full"):
        raise PoisonError("INVALID_FIELD", f"addresses: must be masked or full, is {asked[:40]!r}")
    return asked == "full"


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
