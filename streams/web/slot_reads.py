"""What this worker knows of a slot, as JSON: who holds its places now, and how many were suppressed since."""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.notification import read_slot
from streams.lane.table import LaneTable
from streams.policies.explaining import Holder
from streams.policies.suppression import Place
from streams.stages.slots_table import place_key
from streams.stories.follower import Stories
from streams.types_file import NotificationTypes

MOVING = "the partition of this slot is moving to another worker"


class SlotReads(NamedTuple):
    """The table of slots, the types, and the stories, which count what was suppressed; None: nobody counts."""

    table: LaneTable
    types: NotificationTypes
    stories: Stories | None = None

    def limit(self, kind: str) -> int | None:
        """How many places a slot of this type has, None: there is no such type."""
        policy = self.types.policy(kind)
        return None if policy is None else policy.limit

    def places(self, partition: int, slot: bytes, now: int) -> list[Place]:
        """Return the places that are held now."""
        kind = slot.rpartition(b":")[2].decode()
        rows = self.table.read(partition, [place_key(slot, number) for number in range(self.limit(kind) or 1)])
        places = (Place(*read_slot(row)) for row in rows if row is not None)
        return [place for place in places if place.blocked_until > now]

    def holders(self, partition: int, slot: bytes, now: int) -> list[Holder]:
        """Return who holds a place now."""
        places = self.places(partition, slot, now)
        return [Holder(place.notification_id.decode(), place.phase, place.blocked_until) for place in places]

    def document(self, partition: int, slot: bytes, now: int) -> dict[str, Any]:
        """Return the slot as it is shown; one that nobody holds has no holders."""
        user, _, kind = slot.rpartition(b":")
        held, limit = self.places(partition, slot, now), self.limit(kind.decode()) or 1
        return {
            "user_id": user.decode(),
            "type": kind.decode(),
            "partition": partition,
            "limit": limit,
            "free_places": limit - len(held),
            "holders": [
                {
                    "notification_id": place.notification_id.decode(),
                    "phase": place.phase,
                    "admitted_at": place.admitted_at,
                    "send_by": place.send_by,
                    "blocked_until": place.blocked_until,
                    "suppressed_since": self._suppressed(partition, user, kind, place.notification_id),
                }
                for place in held
            ],
        }

    def _suppressed(self, partition: int, user: bytes, kind: bytes, holder: bytes) -> int | None:
        """None: the stories of the partition are not all told here, so nobody has counted."""
        if self.stories is None or self.stories.to_go(partition) != 0:
            return None
        return self.stories.stores[partition].suppressed(user, kind, holder)
