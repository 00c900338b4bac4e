"""Suppression with Quix Streams: `apply(stateful=True)`, a changelog topic, `to_topic` for each of two branches.

Avro by serializers of our own, because its own know no header. Checkpoints of exactly-once every half second, not every
5 s, so that the last one is not what is measured; other settings are the defaults.
https://quix.io/docs/quix-streams/advanced/stateful-processing.html, .../processing.html, .../configuration.html
"""

from __future__ import annotations

import threading
import time
from typing import Any, cast

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient
from quixstreams import Application, message_context
from quixstreams.models import Deserializer, Serializer

from tests.benchmarks.peers.given import WINDOW_MS, Given, delivery, now_ms, read_notification, status, write

COMMIT_SECONDS = 0.5
SETTLE_SECONDS = 2.0  # from the assignment, until the state of all partitions is open
LOOK_SECONDS = 0.1


class ReadNotification(Deserializer):  # type: ignore[misc] # installed only where it is measured
    """Single-object encoding of the event."""

    def __call__(self, value: bytes, ctx: Any) -> Any:
        return read_notification(value)


class Write(Serializer):  # type: ignore[misc] # installed only where it is measured
    """Single-object encoding of one contract."""

    def __init__(self, contract_name: str) -> None:
        self._contract_name = contract_name

    def __call__(self, value: Any, ctx: Any) -> bytes:
        return write(self._contract_name, value)


def decide(notification: dict[str, Any], key: Any, timestamp: int, headers: Any, state: Any) -> Any:
    """The status of an event, and what is sent on of it. The state is that of its key."""
    context, now = message_context(), now_ms()
    held = state.get("held")
    if held is not None and held[1] > now:
        return status(notification, context.partition, context.offset, now, held), None
    told = status(notification, context.partition, context.offset, now, None)
    state.set("held", [notification["notification_id"], told["until"] + WINDOW_MS])
    return told, delivery(notification, context.partition, context.offset, now)


def create_app(given: Given) -> Any:
    """The application, with its dataframe."""
    app = Application(
        broker_address=given.bootstrap,
        consumer_group=given.group,
        auto_offset_reset="earliest",
        processing_guarantee=given.mode,
        commit_interval=COMMIT_SECONDS,
        state_dir=given.directory,
        loglevel="WARNING",
    )
    notifications = app.topic(given.notifications, value_deserializer=ReadNotification())
    statuses = app.topic(given.statuses, value_serializer=Write("Status"))
    outbox = app.topic(given.outbox, value_serializer=Write("Delivery"))
    decided = app.dataframe(notifications).apply(decide, stateful=True, metadata=True)
    decided.apply(lambda found: found[0]).to_topic(statuses)
    passed = decided.filter(lambda found: found[1] is not None).apply(lambda found: found[1])
    passed.to_topic(outbox, key=lambda found: found["notification"]["user_id"].encode())
    return app


def say_ready(given: Given) -> None:
    """Say so when the group has shared out its partitions."""
    admin = AdminClient({"bootstrap.servers": given.bootstrap})
    while True:
        group = cast("Any", admin.describe_consumer_groups([given.group])[given.group].result(timeout=10))
        if group.state == ConsumerGroupState.STABLE:
            break
        time.sleep(LOOK_SECONDS)
    time.sleep(SETTLE_SECONDS)
    print("ready", flush=True)


if __name__ == "__main__":
    what = Given.from_command_line()
    threading.Thread(target=say_ready, args=(what,), daemon=True).start()
    create_app(what).run()
