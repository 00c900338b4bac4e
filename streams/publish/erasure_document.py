"""The answer to an erasure, as the gateway and the command line give it."""

from __future__ import annotations

from typing import Any

from streams.publish.schedule_commands import Forgotten
from streams.settings import Settings
from streams.topics import topic_specs

REMOVED = ("devices", "preferences", "profiles", "notifications", "pending", "retries", "slots")
KEPT = ("under_way", "cap_places", "slots")


def erasure_document(user_id: str, done: Forgotten, settings: Settings) -> dict[str, Any]:
    """Return what was removed, what is kept and why, and which topics keep their records for how long."""
    return {
        "user_id": user_id,
        "request_id": done.request_id,
        "complete": not done.pending and not done.unread,
        "unread": done.unread,
        "removed": {**dict.fromkeys(REMOVED, 0), **done.total("removed")},
        "kept": {**dict.fromkeys(KEPT, 0), **done.total("kept")},
        "slots_kept_until": done.slots_kept_until,
        "partitions": [
            {name: answer.get(name) for name in ("stage", "partition", "at", "removed", "kept", "slots_kept_until")}
            for answer in sorted(done.answers, key=lambda each: (each["stage"], each["partition"]))
        ],
        "not_answered": [{"stage": stage, "partition": partition} for stage, partition in done.pending],
        "topics_keep_seconds": {
            spec.name: spec.retention_ms // 1000 for spec in topic_specs(settings) if spec.retention_ms is not None
        },
    }
