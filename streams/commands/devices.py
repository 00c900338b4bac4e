"""`ringonce devices`: show the devices of a user, register one, remove one."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaError
from rich.table import Table

from connectors.outcome import ProviderName
from schemas.registry import RegistryError
from streams.codec import open_codec
from streams.commands.asking import get, quoted, shown, worker_url
from streams.commands.terminal import WAIT_SECONDS, WaitSeconds, fail, login, out, quiet_clients, say
from streams.kafka_ready import wait_for_kafka
from streams.publish.device_changes import DeviceChangeEncoder, private_allowed
from streams.publish.messages import Message
from streams.publish.publisher import Publisher
from streams.settings import Settings, load_settings
from streams.topics import TopicNames, ensure_topics

devices = typer.Typer(help="Show the devices of a user, register one, remove one.", no_args_is_help=True)

User = Annotated[str, typer.Argument(help="The user.")]
DeviceId = Annotated[str, typer.Argument(metavar="DEVICE", help="The device_id.")]
By = Annotated[str | None, typer.Option(help="Who asks. Default: the name of this login.")]


def register(app: typer.Typer) -> None:
    app.add_typer(devices, name="devices")


@devices.command("list")
def list_(
    user: User,
    addresses: Annotated[bool, typer.Option("--addresses", help="Show addresses in full.")] = False,
    url: Annotated[str | None, typer.Option(help="Web address of any worker; default: that of the settings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> None:
    """List the devices of a user, as the worker that owns the partition knows them."""
    base = url or worker_url(load_settings())
    query = {"addresses": "full"} if addresses else None
    found = get(f"{base}/users/{quoted(user)}/devices", query)
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = Table(box=None)
    for name in ("device", "provider", "registered", "address"):
        table.add_column(name, overflow="fold")
    for device in found["devices"]:
        registered_at = shown(device["registered_at"])
        table.add_row(device["device_id"], device["provider"], registered_at, device["address"])
    out.print(table)
    if not found["devices"]:
        say(f"{user} has no device")


@devices.command("register")
def register_(
    user: User,
    device_id: DeviceId,
    provider: Annotated[str, typer.Option(help=f"Who delivers to it: {', '.join(sorted(ProviderName))}.")],
    address: Annotated[str, typer.Option(help="Device token, registration token, endpoint or URL.")],
    p256dh: Annotated[str | None, typer.Option(help="Web Push: the public key of the subscription.")] = None,
    auth: Annotated[str | None, typer.Option(help="Web Push: the authentication secret.")] = None,
    registered_at: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="When the app said so, ISO 8601. Default: now.")
    ] = None,
    by: By = None,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Register a device, or say that it is still there. Returns when Kafka has it; a worker decides on it."""
    values = {
        "user_id": user,
        "device_id": device_id,
        "provider": provider,
        "address": address,
        "p256dh": p256dh,
        "auth": auth,
        "registered_at": registered_at,
    }
    _change(lambda encoder, asked: encoder.register(values | asked), by, wait_seconds)


@devices.command()
def remove(user: User, device_id: DeviceId, by: By = None, wait_seconds: WaitSeconds = WAIT_SECONDS) -> None:
    """Remove a device. Returns when Kafka has it; a worker decides on it."""
    values = {"user_id": user, "device_id": device_id}
    _change(lambda encoder, asked: encoder.remove(values | asked), by, wait_seconds)


def _change(
    encode: Callable[[DeviceChangeEncoder, dict[str, Any]], Message], by: str | None, wait_seconds: float
) -> None:
    settings = load_settings()
    quiet_clients()
    topic = TopicNames.of(settings).device_changes
    allow_private = private_allowed(settings)
    asked = {"request_id": uuid.uuid4().hex, "requested_by": by or login()}
    try:
        encoder = DeviceChangeEncoder(open_codec(settings), topic, lambda: time.time_ns() // 1_000_000, allow_private)
        message = encode(encoder, asked)
        asyncio.run(_publish(settings, topic, message, wait_seconds))
    except KafkaError as error:
        fail(f"Kafka at {settings.bootstrap} has not confirmed the change: {error or type(error).__name__}")
    except RegistryError as error:
        fail(f"the schema registry at {settings.schema_registry_url}: {error}")
    except ValueError as error:
        fail(str(error), 2)
    out.print(f"the change {asked['request_id']} is on Kafka; a worker decides on it", markup=False)


async def _publish(settings: Settings, topic: str, message: Message, wait_seconds: float) -> None:
    await wait_for_kafka(settings, wait_seconds, say)
    await ensure_topics(settings)
    async with Publisher(settings, topic) as publisher:
        await publisher.publish(message)
