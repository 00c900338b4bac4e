"""The front of a worker: every view, with what they ask and write through, opened and closed together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

from schemas.codec import Codec
from streams.lane.app import LaneApp, LaneWeb
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
from streams.web.broadcast_views import BroadcastParts, install_broadcast_views
from streams.web.dead_letters_views import install_dead_letters_views
from streams.web.devices_views import install_devices_views
from streams.web.erasure_view import install_erasure_view
from streams.web.history_views import install_history_views
from streams.web.metrics_view import install_metrics_view
from streams.web.notifications_view import install_notifications_view
from streams.web.openapi_view import openapi_routes
from streams.web.overview_view import install_overview_view
from streams.web.page_view import install_page_view
from streams.web.preferences_views import install_preferences_views
from streams.web.profile_views import install_profile_views
from streams.web.schedule_views import install_schedule_views
from streams.web.security.install import install_security
from streams.web.security.security import Security, open_security
from streams.web.slot_reads import SlotReads
from streams.web.story_views import StoryParts, install_story_views
from streams.web.templates_views import install_templates_views
from streams.web.views import install_views


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
    """What was installed and has to be closed, in the order in which it was opened."""

    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    async def close(self) -> None:
        """Close all of it."""
        for close in self.closers:
            await close()


def install_front(parts: FrontParts) -> Front:
    """Install every view in the app's web server; the caller closes what is returned."""
    app, settings, types, codec = parts.app, parts.settings, parts.types, parts.codec
    topics = TopicNames.of(settings)
    slots = SlotReads(cast(LaneTable, app.tables["slots"]), types, parts.stories)
    routing = install_views(app, slots)
    log = install_security(app, parts.security or open_security(settings), routing, codec)
    commands = ScheduleCommands(settings, codec)
    broadcasts = BroadcastCommands(settings, codec)
    intake = Intake(settings)
    install_metrics_view(app)
    install_overview_view(app, routing)
    install_page_view(app)
    install_schedule_views(app, routing, commands)
    install_erasure_view(app, commands, settings)
    install_broadcast_views(BroadcastParts(app, routing, broadcasts, types))
    install_dead_letters_views(app, DeadLetters(settings, codec))
    complete = Prerender(types, parts.library, settings.time_zone)
    install_notifications_view(app, intake, codec, topics.notifications, complete, parts.tracer)
    install_templates_views(app, parts.library)
    install_devices_views(app, routing, intake, codec, topics, private_allowed(settings))
    install_preferences_views(app, routing, intake, codec, topics.preferences)
    install_profile_views(app, routing, intake, codec, topics.profiles)
    stories = install_story_views(StoryParts(app, settings, codec, routing, slots, parts.stories))
    history = install_history_views(app, settings)
    cast(LaneWeb, app.web).web_app.add_routes(openapi_routes(app.conf.id))
    return Front(
        [routing.close, commands.close, broadcasts.close, intake.close, stories.close, history.close, log.close]
    )
