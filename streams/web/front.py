"""The front of a worker: every view, with what they ask and write through, opened and closed together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

from schemas.codec import Codec
from streams.lane.app import LaneApp
from streams.lane.table import LaneTable
from streams.publish.broadcasts import BroadcastCommands
from streams.publish.dead_letters import DeadLetters
from streams.publish.device_changes import private_allowed
from streams.publish.intake import Intake
from streams.publish.schedule_commands import ScheduleCommands
from streams.settings import Settings
from streams.stories.follower import Stories
from streams.templates.library import TemplateLibrary
from streams.templates.prerender import Prerender
from streams.topics import TopicNames
from streams.tracing import Tracer
from streams.types_file import NotificationTypes
from streams.web.broadcast_views import BroadcastParts, add_broadcast_views
from streams.web.dead_letters_views import add_dead_letters_views
from streams.web.devices_views import add_devices_views
from streams.web.directory_reads import DirectoryReads
from streams.web.docs_view import add_docs_views
from streams.web.erasure_view import add_erasure_view
from streams.web.history_views import add_history_views
from streams.web.metrics_view import add_metrics_view
from streams.web.notifications_view import add_notifications_view
from streams.web.openapi_view import add_openapi_view
from streams.web.overview_view import add_overview_view
from streams.web.page_view import install_page_view
from streams.web.preferences_views import add_preferences_views
from streams.web.profile_views import add_profile_views
from streams.web.routes import Routes
from streams.web.schedule_views import add_schedule_views
from streams.web.security.install import install_security
from streams.web.security.security import Security, open_security
from streams.web.slot_reads import SlotReads
from streams.web.story_views import StoryParts, add_story_views
from streams.web.templates_views import add_templates_views
from streams.web.views import add_views


@dataclass(frozen=True, slots=True)
class FrontParts:
    """What the views are made of."""

    app: LaneApp
    settings: Settings
    types: NotificationTypes
    codec: Codec
    library: TemplateLibrary
    security: Security | None = None  # else what the settings say
    stories: Stories | None = None  # None: none are told
    tracer: Tracer | None = None  # None: no traces are made


@dataclass(slots=True)
class Front:
    """What was installed and has to be closed, in the order in which it was opened; and what runs beside it."""

    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    besides: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)

    async def close(self) -> None:
        """Close all of it."""
        for close in self.closers:
            await close()


def install_front(parts: FrontParts) -> Front:
    """Install every view in the app's web server; the caller closes what is returned."""
    app, settings, types, codec = parts.app, parts.settings, parts.types, parts.codec
    topics = TopicNames.of(settings)
    routes = Routes.of(app)
    slots = SlotReads(cast(LaneTable, app.tables["slots"]), types, parts.stories)
    routing = add_views(routes, app, slots)
    guard = install_security(app, parts.security or open_security(settings), routing, codec)
    commands = ScheduleCommands(settings, codec)
    broadcasts = BroadcastCommands(settings, codec)
    intake = Intake(settings)
    reads = DirectoryReads(app, routing)
    add_metrics_view(routes, app)
    add_overview_view(routes, app, routing)
    install_page_view(app)
    add_schedule_views(routes, app, routing, commands)
    add_erasure_view(routes, commands, settings)
    add_broadcast_views(routes, BroadcastParts(app, routing, broadcasts, types))
    add_dead_letters_views(routes, DeadLetters(settings, codec))
    complete = Prerender(types, parts.library, settings.time_zone)
    add_notifications_view(routes, intake, codec, topics.notifications, types, complete, parts.tracer)
    add_templates_views(routes, parts.library)
    add_devices_views(routes, reads, intake, codec, topics.device_changes, private_allowed(settings))
    add_preferences_views(routes, reads, intake, codec, topics.preferences)
    add_profile_views(routes, reads, intake, codec, topics.profiles)
    stories = add_story_views(routes, StoryParts(app, settings, codec, routing, slots, parts.stories))
    history = add_history_views(routes, settings)
    add_openapi_view(routes)
    add_docs_views(routes)
    return Front(
        [routing.close, commands.close, broadcasts.close, intake.close, stories.close, history.close, guard.close],
        guard.besides,
    )
