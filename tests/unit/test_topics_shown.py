"""One broker of several may know a new topic later than the one that created it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from streams import topics

UNKNOWN = UnknownTopicOrPartitionError.errno
ENTRY: Final[tuple[object, ...]] = ("cleanup.policy", "compact", False, False, False, [])


class Admin:
    """Answers with one error after the other, then as a broker that knows the topic."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    async def describe_configs(self, resources: list[Any]) -> list[Any]:
        code = self.codes.pop(0) if self.codes else 0
        return [SimpleNamespace(resources=[(code, "", 2, each.name, [] if code else [ENTRY]) for each in resources])]


def ask(admin: Admin) -> dict[str, dict[str, str]]:
    return asyncio.run(topics._topic_configs(cast(AIOKafkaAdminClient, admin), ["events"]))


def test_a_topic_that_is_not_known_yet_is_asked_for_again() -> None:
    admin = Admin(UNKNOWN, UNKNOWN)
    assert ask(admin) == {"events": {"cleanup.policy": "compact"}}
    assert admin.codes == []


def test_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "VISIBLE_SECONDS_MAX", 0.2)
    admin = Admin(*[UNKNOWN] * 1000)
    with pytest.raises(UnknownTopicOrPartitionError, match="events"):
        ask(admin)
    assert 1 < len(admin.codes) < 999


def test_another_error_is_said_at_once() -> None:
    admin = Admin(TopicAuthorizationFailedError.errno, 0)
    with pytest.raises(TopicAuthorizationFailedError, match="events"):
        ask(admin)
    assert admin.codes == [0]
