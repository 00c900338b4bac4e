"""What a request about stories asks for, as its query says it."""

from __future__ import annotations

from typing import NamedTuple

from schemas.keys import slot_key
from streams.policies.explaining import Origin
from streams.web.contract.stories import ExplainQuery, RecentQuery
from streams.web.story_reads import Cursor


class Page(NamedTuple):
    """At most so many, behind the cursor. `fresh`: only once all that there was when it was asked for is told."""

    limit: int
    before: Cursor | None
    fresh: bool


class Question(NamedTuple):
    """What is to be explained: a slot, and perhaps one of its ids; or the event at a place of `notifications`."""

    slot: bytes
    notification_id: bytes | None
    origin: Origin | None


def page_of(query: RecentQuery) -> Page:
    """Return the page that is asked for."""
    before = None if query.before is None else Cursor.read(query.before)
    return Page(query.limit, before, query.fresh == "true")


def question_of(query: ExplainQuery) -> Question:
    """Return what is asked. The query has seen to it that it is one of the two."""
    if query.user is None or query.type is None:
        assert query.partition is not None and query.offset is not None, "the query is checked"
        return Question(b"", None, (query.partition, query.offset))
    return Question(slot_key(query.user, query.type), None if query.id is None else query.id.encode(), None)
