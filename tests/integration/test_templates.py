"""Templates on a real Kafka, from the topic to what a browser shows. One run serves all tests.

A browser decrypts what it is sent, so that its text can be read; what waits for it is kept by the slot.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors.outcome import ProviderName
from schemas.keys import partition_of
from streams.lane.clock import wall_ms
from streams.policies.rendering import TypeTemplate
from streams.templates.documents import read_document, record_of
from streams.templates.follower import TemplateFollower, TemplatesUnreadError
from streams.templates.library import TemplateLibrary
from streams.types_file import NotificationTypes
from tests.integration.kafka_records import WAIT_SECONDS_MAX
from tests.integration.straight_line import CODEC, PARTITIONS, StraightLine, settings_of, straight_line

WEB, FCM = ProviderName.WEBPUSH, ProviderName.FCM
TYPES: dict[str, Any] = {
    "defaults": {"window_seconds": 3_600},
    "types": {
        "order": {"title": "from the types file"},
        "news": {"title": "{{ data.headline }}", "locale": "de"},
        "sync": {"background": True},
        "broken": {"title": "from the types file"},
    },
}
ORDER = {
    "version": "7",
    "title": "Order {{ order }}",
    "body": "ready {{ at | datetime('short') }}, {{ price | money('EUR') }}",
    "link": "https://shop.example/{{ order | urlencode }}",
    "webpush": {"image": "https://img.example/{{ order | urlencode }}.png"},
    "locales": {"de": {"title": "Bestellung {{ order }}", "data": {"screen": "bestellung"}}},
}
DATA = {"order": "1234", "at": "2026-01-24T17:00:00Z", "price": "9.5"}


@dataclass
class Story:
    """What came out of the run."""

    statuses: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: str | None = None
    kept: str = ""
    removed: str = ""

    def of(self, notification_id: str, state: str) -> list[str]:
        """The reasons of a notification's statuses with this state."""
        return [
            each["reason"]
            for each in self.statuses
            if each["notification_id"] == notification_id and each["state"] == state
        ]


async def publish(line: StraightLine, type: str, template: dict[str, Any] | None, key: str | None = None) -> None:
    """Put a template on the topic; None removes it."""
    value = None
    if template is not None:
        value = CODEC.encode("Template", dict(record_of(read_document(type, template), wall_ms(), "test")))
    name = (key or type).encode()
    await line.producer.send_and_wait(line.topics.templates, value, name, partition_of(name, PARTITIONS))


async def until(check: Callable[[], bool]) -> None:
    """Wait until this is so."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not check():  # noqa: ASYNC110 (the library signals nobody; the wait has a limit)
            await asyncio.sleep(0.02)


def version(library: TemplateLibrary, type: str) -> str:
    template = library.of(type)
    return f"{template.source} {template.version}" if isinstance(template, TypeTemplate) else "refused"


async def play(line: StraightLine, library: TemplateLibrary) -> Story:
    """Publish, send, publish anew, send again."""
    story = Story()
    for user, locale, zone in (
        ("anna", "de-AT", "Europe/Vienna"),
        ("bob", "en-GB", "Europe/London"),
        ("carl", None, None),
        ("dora", None, None),
    ):
        await line.devices(user, WEB)
        if locale is not None:
            await line.preferences(user, locale=locale, time_zone=zone)
    await line.devices("both", WEB, FCM)
    await publish(line, "order", ORDER)
    await publish(line, "broken", {"version": "1", "title": "fine"})
    follower = TemplateFollower(line.settings, CODEC, library)
    await follower.load()
    assert version(library, "order") == "topic 7"
    following = asyncio.create_task(follower.run())
    try:
        await line.until_done()
        for user in ("anna", "bob", "carl", "both"):
            await line.event(user, "order", notification_id=f"{user} order", data=DATA)
        await line.event("anna", "news", notification_id="anna news", data={"headline": "Hallo"})
        await line.event("anna", "sync", notification_id="anna sync", data={"cursor": "5"})
        await line.event("bob", "news", notification_id="bob news", data={})
        await line.until_done()  # rendered by what counts now
        await publish(line, "broken", {"version": "2", "title": "{{ name | no_such_filter }}"})
        await until(lambda: library.why_refused("broken") is not None)
        story.refused, story.kept = library.why_refused("broken"), version(library, "broken")
        await publish(line, "order", {**ORDER, "version": "8"})
        await until(lambda: version(library, "order") == "topic 8")
        await line.event("dora", "order", notification_id="dora order", data=DATA)
        await line.event("carl", "broken", notification_id="carl broken", data={})
        await publish(line, "broken", None)
        await until(lambda: version(library, "broken").startswith("types file"))
        story.removed = version(library, "broken")
        await line.until_done()
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await follower.close()
    story.statuses = await line.read(line.topics.statuses, "Status")
    story.letters = await line.read(line.topics.dead_letters, "DeadLetter")
    for (address, _), message in line.simulators.webpush.pending.items():
        story.shown[f"{line.user_of[address]} {message['data']['type']}"] = message
    return story


@pytest.fixture(scope="module")
def story(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """One run of everything."""

    async def run() -> Story:
        library = TemplateLibrary(NotificationTypes.parse(TYPES, "test"))
        prefix = f"t{uuid.uuid4().hex[:10]}-"
        directory = tmp_path_factory.mktemp("templates")
        async with straight_line(kafka, prefix, directory, TYPES, templates=library) as line:
            return await play(line, library)

    return asyncio.run(run())


def test_each_reader_gets_it_in_his_language_and_his_zone(story: Story) -> None:
    """An Austrian in German, a Briton in English; who names no locale gets the default one's."""
    anna, bob, carl = (story.shown[f"{user} order"] for user in ("anna", "bob", "carl"))
    assert (anna["title"], bob["title"], carl["title"]) == ("Bestellung 1234", "Order 1234", "Order 1234")
    assert anna["body"] == "ready 24.01.26, 18:00, €\xa09,50"
    assert bob["body"] == "ready 24/01/2026, 17:00, €9.50"
    assert carl["body"] == "ready 1/24/26, 5:00\u202fPM, €9.50"


def test_image_link_and_data_reach_the_browser(story: Story) -> None:
    """Those of the template beside those of the event."""
    anna = story.shown["anna order"]
    assert anna["image"] == "https://img.example/1234.png"
    assert anna["data"]["link"] == "https://shop.example/1234"
    assert (anna["data"]["screen"], anna["data"]["order"]) == ("bestellung", "1234")
    assert "screen" not in story.shown["bob order"]["data"]


def test_the_claim_names_the_version(story: Story) -> None:
    """Whoever asks why a user read this finds it in the statuses; the version in force when it was claimed."""
    assert story.of("anna order", "SENDING") == ["claimed; template 7 of the topic"]
    assert story.of("dora order", "SENDING") == ["claimed; template 8 of the topic"]
    [news] = story.of("anna news", "SENDING")
    assert news.endswith("of the types file")
    assert story.shown["anna news"]["title"] == "Hallo"


def test_a_type_that_shows_nothing_is_sent_all_the_same(story: Story) -> None:
    """With its data, and without a text."""
    message = story.shown["anna sync"]
    assert (message["title"], message["body"], message["data"]["cursor"]) == ("", "", "5")
    assert story.of("anna sync", "ACCEPTED")


def test_what_is_missing_is_named_and_touches_nobody_else(story: Story) -> None:
    """One user's event lacks a value: it is a dead letter, that of another is sent."""
    [reason] = story.of("bob news", "DEAD")
    assert reason.startswith("RENDER_FAILED: news, template ")
    assert reason.endswith(", types file, title: 'headline' is missing in a mapping")
    assert "anna news" in story.shown


def test_a_version_that_is_refused_is_one_dead_letter_and_the_old_one_stays(story: Story) -> None:
    """With its reason; and a removal lets the types file speak again."""
    [letter] = [each for each in story.letters if each["topic"].endswith("templates")]
    assert (letter["key"], letter["code"], letter["stage"]) == (b"broken", "INVALID_FIELD", "deliver")
    assert letter["reason"] == "any locale, any provider, title: there is no filter 'no_such_filter'"
    assert story.refused == letter["reason"]
    assert story.kept == "topic 1"
    assert story.removed.startswith("types file ")


def test_each_provider_gets_its_own_variant(story: Story) -> None:
    """One notification for two devices ends once, and both have it."""
    assert len(story.of("both order", "ATTEMPTED")) == 2
    assert len(story.of("both order", "ACCEPTED")) == 1
    assert "image" in story.shown["both order"]


def test_a_topic_that_is_not_read_in_time_is_given_up(kafka: str, prefix: str, tmp_path: Path) -> None:
    """The wait has a limit, and the error names the setting."""
    settings = settings_of(kafka, prefix, tmp_path, templates_wait_seconds=0.001)
    follower = TemplateFollower(settings, CODEC, TemplateLibrary(NotificationTypes.parse(TYPES, "test")))
    with pytest.raises(TemplatesUnreadError, match="RINGONCE_TEMPLATES_WAIT_SECONDS"):
        asyncio.run(follower.load())
