"""`ringonce repartition`: move an installation to more partitions, under new names."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from aiokafka.errors import KafkaError

from streams.audit.reading import RecordUnreadableError
from streams.commands.terminal import WAIT_SECONDS, WaitSeconds, fail, out, quiet_clients, say
from streams.kafka_ready import wait_for_kafka
from streams.repartition.copying import Moved
from streams.repartition.move import RepartitionError, repartition
from streams.settings import Settings, load_settings


def register(app: typer.Typer) -> None:
    app.command("repartition")(repartition_)


def repartition_(
    partitions: Annotated[int, typer.Option(help="How many there are to be: a multiple of what there are.")],
    to_prefix: Annotated[str, typer.Option(help="The new RINGONCE_TOPIC_PREFIX.")],
    to_app_id: Annotated[str, typer.Option(help="The new RINGONCE_APP_ID.")],
    wait_seconds: WaitSeconds = WAIT_SECONDS,
) -> None:
    """Copy the state of an installation at rest to another one with more partitions, and retire the old one."""
    old = load_settings()
    new = load_settings(partitions=partitions, topic_prefix=to_prefix, app_id=to_app_id)
    quiet_clients()
    try:
        moved = asyncio.run(_repartition(old, new, wait_seconds))
    except RepartitionError as error:
        fail(str(error))
    except RecordUnreadableError as error:
        fail(str(error))
    except KafkaError as error:
        fail(f"Kafka at {old.bootstrap} refuses: {error!r}")
    out.print(
        f"{moved.places:,} places of slots, {moved.blocks:,} blocks of ids, {moved.capped_users:,} users with caps, "
        f"{moved.pending:,} pending notifications, {moved.records:,} devices, profiles, preferences and templates"
    )
    out.print(f"{moved.retired:,} pending notifications ended in the old installation")
    out.print(
        f"now start workers with RINGONCE_PARTITIONS={partitions} RINGONCE_TOPIC_PREFIX={to_prefix} "
        f"RINGONCE_APP_ID={to_app_id} and a RINGONCE_DATA_DIR of their own",
        markup=False,
    )


async def _repartition(old: Settings, new: Settings, wait_seconds: float) -> Moved:
    await wait_for_kafka(old, wait_seconds, say)
    return await repartition(old, new, say)
