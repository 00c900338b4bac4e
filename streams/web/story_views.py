"""The views of stories: one notification, a user's recent ones, why, and what would happen now.

Every worker answers: it asks the owner of the partition. 404 only where it is certain that there is nothing, 503 with
Retry-After while partitions move, or while this worker has not read as far as Kafka goes: never one for the other.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web
from aiokafka.errors import KafkaError

from schemas.codec import Codec
from schemas.notification import read_heads
from schemas.poison import PoisonError
from streams.lane.app import LaneApp
from streams.lane.table import LaneTable
from streams.policies.foreseeing import Outlook, foresee_slot
from streams.settings import Settings
from streams.stages.deliver import DeliverLane
from streams.stages.suppress_step import readable_slot
from streams.stories.follower import Stories
from streams.stories.freshness import BehindError, Freshness
from streams.topics import TopicNames
from streams.web.asked import Asked
from streams.web.explain_reads import Asked as About
from streams.web.explain_reads import ExplainReads, one_sentence
from streams.web.outlook_reads import outlook_of
from streams.web.problems import problem
from streams.web.routes import Routes, View
from streams.web.routing import FORWARDED_HEADER, Elsewhere, Here, Owner, Routing
from streams.web.schedule_views import target_of
from streams.web.slot_reads import MOVING, SlotReads
from streams.web.story_documents import said_document
from streams.web.story_queries import Page, page_of, question_of
from streams.web.story_reads import StoryReads, cut

USER_MOVING = "partitions are moving to another worker"
OFF = "no stories are told here: RINGONCE_STORIES_HOURS is 0"
NOT_KNOWN = Outlook("NOT_KNOWN", "what its user wants is not known right now, as his partition is moving")


@dataclass(frozen=True, slots=True)
class StoryParts:
    """What the views are made of."""

    app: LaneApp
    settings: Settings
    codec: Codec
    routing: Routing
    slots: SlotReads
    stories: Stories | None


def add_story_views(routes: Routes, parts: StoryParts) -> StoryViews:
    """Add the views; the caller closes what is returned."""
    views = StoryViews(parts)
    routes.add("story", behind(views.story))
    routes.add("recent", behind(views.recent))
    routes.add("outlook", behind(views.outlook))
    routes.add("explain", behind(views.explain))
    return views


def behind(view: View) -> View:
    """Return the view with 503 where this worker has not read as far as Kafka goes, or where Kafka does not answer."""

    async def answer(asked: Asked) -> web.Response:
        try:
            return await view(asked)
        except BehindError as error:
            return problem(503, f"not known yet: {error}", kind="behind")
        except (KafkaError, TimeoutError) as error:
            return problem(503, f"Kafka does not answer: {type(error).__name__}", kind="behind")

    return answer


class StoryViews:
    """The views over what this worker has right now."""

    def __init__(self, parts: StoryParts) -> None:
        self._app = parts.app
        self._routing = parts.routing
        self._codec = parts.codec
        self._slots = parts.slots
        self._directory = cast(LaneTable, parts.app.tables["directory"])
        self._partitions = parts.settings.partitions
        self._reads: ExplainReads | None = None
        if parts.stories is not None:
            topics = TopicNames.of(parts.settings)
            freshness = Freshness(parts.app, parts.settings, parts.stories)
            reads = StoryReads(parts.app, parts.stories, freshness, parts.slots, topics)
            self._reads = ExplainReads(reads, parts.slots, topics, self._partitions)

    async def close(self) -> None:
        """Close the connections."""
        if self._reads is not None:
            await self._reads.reads.freshness.close()

    @property
    def _told(self) -> ExplainReads:
        if self._reads is None:
            raise web.HTTPNotImplemented(reason=OFF)
        return self._reads

    def _owner(self, slot: bytes) -> Owner:
        return self._routing.owner(self._slots.table, "suppress", slot)

    async def _elsewhere(self, request: web.Request, owner: Owner, *path: bytes) -> web.Response:
        """Return what the owner answers, if it is another worker, and answers."""
        query = request.rel_url.raw_query_string
        return await self._routing.of_owner(request, owner, path, MOVING, query)

    async def story(self, asked: Asked) -> web.Response:
        """200 with all that is told of one notification; 404 where it is certain that nothing is."""
        target, told = target_of(asked), self._told
        owner = self._owner(target.slot)
        if not isinstance(owner, Here):
            return await self._elsewhere(asked.request, owner, b"notifications", *(part.encode() for part in target))
        found = await told.reads.story(owner.partition, target)
        if found is not None:
            return web.json_response(found)
        if not isinstance(self._owner(target.slot), Here):
            return problem(503, MOVING)
        return problem(404, told.reads.nothing(f"{target.notification_id} of {target.user_id}:{target.type}"))

    async def recent(self, asked: Asked) -> web.Response:
        """200 with a user's notifications over all types, the newest first; 503 where a worker does not answer."""
        user_id = asked.path["user_id"]
        page, told = page_of(asked.query), self._told
        if not self._routing.settled:
            return problem(503, USER_MOVING)
        user, own = user_id.encode(), sorted(self._app.lanes.lanes("suppress"))
        if FORWARDED_HEADER in asked.request.headers:
            if page.fresh:
                await told.reads.freshness.settle(own)
            return web.json_response({**told.reads.recent(user, page.before, page.limit, own), "partitions": own})
        found = await self._over_all(page, user, page.fresh)
        if found is not None and not found["notifications"] and not page.fresh and page.before is None:
            # That a user has none at all is said only when it is certain.
            found = await self._over_all(page, user, True)
        return problem(503, USER_MOVING) if found is None else web.json_response(found)

    async def _over_all(self, page: Page, user: bytes, fresh: bool) -> dict[str, Any] | None:
        """Ask every worker, this one too; None where that is not all partitions."""
        told = self._told
        own = sorted(self._app.lanes.lanes("suppress"))
        query = f"limit={page.limit}&fresh={str(fresh).lower()}"
        query += "" if page.before is None else f"&before={page.before}"
        others = [
            self._routing.forward(url, b"users", user, b"notifications", query=query)
            for url in self._routing.others(self._slots.table)
        ]
        settled = told.reads.freshness.settle(own) if fresh else asyncio.sleep(0)
        _, *answers = await asyncio.gather(settled, *others)
        if own != sorted(self._app.lanes.lanes("suppress")) or not self._routing.settled:
            return None
        parts = [{**told.reads.recent(user, page.before, page.limit, own), "partitions": own}]
        for answer in answers:
            if answer is None or answer.status_code != 200:
                return None
            parts.append(answer.json())
        partitions = sorted(number for part in parts for number in part["partitions"])
        if partitions != list(range(self._partitions)):
            return None
        return {"user_id": user.decode(), **cut(parts, page.limit)}

    async def outlook(self, asked: Asked) -> web.Response:
        """200 with what would happen to a notification of this type that was admitted now, as far as its user goes."""
        user_id, kind = asked.path["user_id"], asked.path["type"]
        found = await self._outlook(user_id.encode(), kind, FORWARDED_HEADER in asked.request.headers)
        return problem(503, USER_MOVING) if found is None else web.json_response(found)

    async def _outlook(self, user: bytes, kind: str, is_forwarded: bool = False) -> dict[str, Any] | None:
        owner = self._routing.owner(self._directory, "deliver", user)
        if isinstance(owner, Here):
            lane = cast("DeliverLane | None", self._app.lanes.lanes("deliver").get(owner.partition))
            if lane is not None and lane.directory_is_read:
                return said_document(outlook_of(lane, user, kind))
        if isinstance(owner, Elsewhere) and not is_forwarded:
            answer = await self._routing.forward(owner.url, b"users", user, b"outlook", kind.encode())
            if answer is not None and answer.status_code == 200:
                return cast("dict[str, Any]", answer.json())
        return None

    async def explain(self, asked: Asked) -> web.Response:
        """200: why the last one of a slot, the one of an id, or an event was sent or not, and what would happen now."""
        question, told = question_of(asked.query), self._told
        if question.origin is not None:
            about = await self._event_at(question.origin)
            if about is None:
                place = f"notifications-{question.origin[0]}@{question.origin[1]}"
                return problem(404, f"there is no event at {place}: not yet, not any more, or it is a marker")
        else:
            about = About(question.slot, question.notification_id)
        if about.origin is not None and not about.notification_id:
            owner = self._routing.owner_of(self._slots.table, "suppress", about.origin[0])
        else:
            owner = self._owner(about.slot)
        if not isinstance(owner, Here):
            return await self._elsewhere(asked.request, owner, b"explain")
        event = await told.event(owner.partition, about)
        if event is None and (about.notification_id is not None or about.origin is not None):
            return problem(404, told.reads.nothing("it"))
        document: dict[str, Any] = {"sentence": "", "user_id": None, "type": None, "notification": event}
        document["told_until"] = told.reads.told_until(owner.partition)
        slot_owner = self._owner(about.slot) if about.slot else None
        if isinstance(slot_owner, Here):  # else it could not be read, and was put where it does not belong
            document |= await self._now(about.slot, slot_owner.partition)
        document["sentence"] = one_sentence([event, document.get("slot"), document.get("now")])
        return web.json_response(document)

    async def _now(self, slot: bytes, partition: int) -> dict[str, Any]:
        """What blocks a slot now, and what would happen to one sent now."""
        user, _, kind = slot.rpartition(b":")
        told = self._told
        state, shown = told.slot(partition, slot)
        outlook = foresee_slot(state)
        if outlook is None:
            now = await self._outlook(user, kind.decode()) or said_document(NOT_KNOWN)
        else:
            now = said_document(outlook)
        return {"user_id": user.decode(), "type": kind.decode(), "slot": shown, "now": now}

    async def _event_at(self, origin: tuple[int, int]) -> About | None:
        """Read the event at a place of `notifications`: its slot and its id, as far as it can be read."""
        if origin[0] >= self._partitions:
            raise PoisonError("INVALID_FIELD", f"partition: there are {self._partitions}")
        record = await self._told.reads.freshness.event(*origin)
        if record is None:
            return None
        (head,) = read_heads([record.value], [record.key], self._codec)
        if isinstance(head, PoisonError):
            return About(readable_slot(record.key or b""), b"", origin)
        return About(record.key, head.notification_id, origin)
