"""The views of stories: one notification, a user's recent ones, why, and what would happen now.

Every worker answers: it asks the owner of the partition. 404 only where it is certain that there is nothing, 503 with
Retry-After while partitions move, or while this worker has not read as far as Kafka goes: never one for the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web
from aiokafka.errors import KafkaError

from schemas.codec import Codec
from schemas.keys import check_type
from schemas.notification import read_heads
from schemas.poison import PoisonError
from streams.lane.app import LaneApp, LaneWeb
from streams.lane.table import LaneTable
from streams.policies.foreseeing import Outlook, foresee_slot
from streams.settings import Settings
from streams.stages.deliver import DeliverLane
from streams.stages.suppress_step import readable_slot
from streams.stories.follower import Stories
from streams.stories.freshness import BehindError, Freshness
from streams.topics import TopicNames
from streams.web.answers import passed_on
from streams.web.directory_reads import read_path
from streams.web.explain_reads import Asked, ExplainReads, one_sentence
from streams.web.outlook_reads import outlook_of
from streams.web.problems import problem
from streams.web.routing import FORWARDED_HEADER, SYSTEM_HEADER, Elsewhere, Here, Owner, Routing
from streams.web.schedule_paths import read_target
from streams.web.slot_reads import SlotReads
from streams.web.story_documents import outlook_document
from streams.web.story_queries import read_page, read_question
from streams.web.story_reads import StoryReads, cut

MOVING = "the partition of this slot is moving to another worker"
USER_MOVING = "partitions are moving to another worker"
OFF = "no stories are told here: RINGONCE_STORIES_HOURS is 0"
NOT_KNOWN = Outlook("NOT_KNOWN", "what its user wants is not known right now, as his partition is moving")
View = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class StoryParts:
    """What the views are made of."""

    app: LaneApp
    settings: Settings
    codec: Codec
    routing: Routing
    slots: SlotReads
    stories: Stories | None


def install_story_views(parts: StoryParts) -> StoryViews:
    """Install the views; the caller closes what is returned."""
    views = StoryViews(parts)
    router = cast(LaneWeb, parts.app.web).web_app.router
    router.add_get("/notifications/{user_id}/{type}/{notification_id}", views.answered(views.story))
    router.add_get("/users/{user_id}/notifications", views.answered(views.recent))
    router.add_get("/users/{user_id}/outlook/{type}", views.answered(views.outlook))
    router.add_get("/explain", views.answered(views.explain))
    return views


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

    def answered(self, view: View) -> View:
        """Return the view with a problem document for each way in which it may fail."""

        async def answer(request: web.Request) -> web.Response:
            try:
                response = await view(request)
            except PoisonError as error:
                response = problem(400, error.reason)
            except BehindError as error:
                response = problem(503, f"not known yet: {error}")
            except (KafkaError, TimeoutError) as error:
                response = problem(503, f"Kafka does not answer: {type(error).__name__}")
            response.headers[SYSTEM_HEADER] = self._app.conf.id
            return response

        return answer

    @property
    def _told(self) -> ExplainReads:
        if self._reads is None:
            raise web.HTTPNotImplemented(reason=OFF)
        return self._reads

    def _owner(self, slot: bytes) -> Owner:
        return self._routing.owner(self._slots.table, "suppress", slot)

    async def _elsewhere(self, request: web.Request, owner: Owner, *path: bytes) -> web.Response:
        """Return what the owner answers, if it is another worker, and answers."""
        if isinstance(owner, Elsewhere) and FORWARDED_HEADER not in request.headers:
            answer = await self._routing.forward(owner.url, *path, query=request.rel_url.raw_query_string)
            if answer is not None:
                return passed_on(answer)
        return problem(503, MOVING)

    async def story(self, request: web.Request) -> web.Response:
        """200 with all that is told of one notification; 404 where it is certain that nothing is."""
        target, told = read_target(request, with_id=True), self._told
        owner = self._owner(target.slot)
        if not isinstance(owner, Here):
            return await self._elsewhere(request, owner, b"notifications", *(part.encode() for part in target))
        found = await told.reads.story(owner.partition, target)
        if found is not None:
            return web.json_response(found)
        if not isinstance(self._owner(target.slot), Here):
            return problem(503, MOVING)
        kept = f"in the last {told.reads.stories.keep_ms // 3_600_000} hours"
        slot = f"{target.user_id}:{target.type}"
        return problem(
            404, f"nothing was decided on {target.notification_id} of {slot} {kept}, and it is not scheduled"
        )

    async def recent(self, request: web.Request) -> web.Response:
        """200 with a user's notifications over all types, the newest first; 503 where a worker does not answer."""
        (user_id,) = read_path(request, 2)
        page, told = read_page(request), self._told
        if not self._routing.settled:
            return problem(503, USER_MOVING)
        user, own = user_id.encode(), sorted(self._app.lanes.lanes("suppress"))
        if FORWARDED_HEADER in request.headers:
            if page.fresh:
                await told.reads.freshness.settle(own)
            return web.json_response({**told.reads.recent(user, page.before, page.limit, own), "partitions": own})
        found = await self._over_all(request, user, page.fresh)
        if found is not None and not found["notifications"] and not page.fresh and page.before is None:
            # That a user has none at all is said only when it is certain.
            found = await self._over_all(request, user, True)
        return problem(503, USER_MOVING) if found is None else web.json_response(found)

    async def _over_all(self, request: web.Request, user: bytes, fresh: bool) -> dict[str, Any] | None:
        """Ask every worker, this one too; None where that is not all partitions."""
        page, told = read_page(request), self._told
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

    async def outlook(self, request: web.Request) -> web.Response:
        """200 with what would happen to a notification of this type that was admitted now, as far as its user goes."""
        user_id, kind = read_path(request, 2, 4)
        check_type(kind.encode())
        found = await self._outlook(user_id.encode(), kind, FORWARDED_HEADER in request.headers)
        return problem(503, USER_MOVING) if found is None else web.json_response(found)

    async def _outlook(self, user: bytes, kind: str, is_forwarded: bool = False) -> dict[str, Any] | None:
        owner = self._routing.owner(self._directory, "deliver", user)
        if isinstance(owner, Here):
            lane = cast("DeliverLane | None", self._app.lanes.lanes("deliver").get(owner.partition))
            if lane is not None and lane.directory_is_read:
                return outlook_document(outlook_of(lane, user, kind))
        if isinstance(owner, Elsewhere) and not is_forwarded:
            answer = await self._routing.forward(owner.url, b"users", user, b"outlook", kind.encode())
            if answer is not None and answer.status_code == 200:
                return cast("dict[str, Any]", answer.json())
        return None

    async def explain(self, request: web.Request) -> web.Response:
        """200: why the last one of a slot, the one of an id, or an event was sent or not, and what would happen now."""
        question, told = read_question(request), self._told
        if question.origin is not None:
            asked = await self._event_at(question.origin)
            if asked is None:
                place = f"notifications-{question.origin[0]}@{question.origin[1]}"
                return problem(404, f"there is no event at {place}: not yet, not any more, or it is a marker")
        else:
            asked = Asked(question.slot, question.notification_id)
        if asked.origin is not None and not asked.notification_id:
            owner = self._routing.owner_of(self._slots.table, "suppress", asked.origin[0])
        else:
            owner = self._owner(asked.slot)
        if not isinstance(owner, Here):
            return await self._elsewhere(request, owner, b"explain")
        event = await told.event(owner.partition, asked)
        if event is None and (asked.notification_id is not None or asked.origin is not None):
            return problem(404, told.reads.nothing("it"))
        document: dict[str, Any] = {"sentence": "", "user_id": None, "type": None, "notification": event}
        document["told_until"] = told.reads.told_until(owner.partition)
        slot_owner = self._owner(asked.slot) if asked.slot else None
        if isinstance(slot_owner, Here):  # else it could not be read, and was put where it does not belong
            document |= await self._now(asked.slot, slot_owner.partition)
        document["sentence"] = one_sentence([event, document.get("slot"), document.get("now")])
        return web.json_response(document)

    async def _now(self, slot: bytes, partition: int) -> dict[str, Any]:
        """What blocks a slot now, and what would happen to one sent now."""
        user, _, kind = slot.rpartition(b":")
        told = self._told
        state, shown = told.slot(partition, slot)
        outlook = foresee_slot(state)
        if outlook is None:
            now = await self._outlook(user, kind.decode()) or outlook_document(NOT_KNOWN)
        else:
            now = outlook_document(outlook)
        return {"user_id": user.decode(), "type": kind.decode(), "slot": shown, "now": now}

    async def _event_at(self, origin: tuple[int, int]) -> Asked | None:
        """Read the event at a place of `notifications`: its slot and its id, as far as it can be read."""
        if origin[0] >= self._partitions:
            raise PoisonError("INVALID_FIELD", f"partition: there are {self._partitions}")
        record = await self._told.reads.freshness.event(*origin)
        if record is None:
            return None
        (head,) = read_heads([record.value], [record.key], self._codec)
        if isinstance(head, PoisonError):
            return Asked(readable_slot(record.key or b""), b"", origin)
        return Asked(record.key, head.notification_id, origin)
