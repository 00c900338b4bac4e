"""Rendering when an event is taken: who sends it is told at once what is missing, and the event carries its text."""

from __future__ import annotations

from typing import Any, Final

from streams.policies.rendering import RenderFailed, Values, render
from streams.templates.library import TemplateLibrary
from streams.time_zones import zone_named
from streams.types_file import NotificationTypes

UTC_NAME: Final = "UTC"


class Prerender:
    """Fills in the title and the body of events whose type says `prerender`.

    By then nothing is known of the user: it is the text of the type's locale, for any provider, from the event alone.
    """

    def __init__(self, types: NotificationTypes, library: TemplateLibrary, time_zone: str = UTC_NAME) -> None:
        self._types = types
        self._library = library
        self._time_zone = time_zone

    @property
    def is_needed(self) -> bool:
        """Whether any type asks for it."""
        policies = (self._types.defaults, *self._types.policies.values())
        return any(policy.prerender for policy in policies)

    def __call__(self, event: dict[str, Any]) -> None:
        """Fill in what an event leaves open. Raises ValueError with a sentence that names what is missing."""
        policy = self._types.policy(event["type"])
        if policy is None or not policy.prerender:
            return
        title, body = event.get("title"), event.get("body")
        if title is not None and body is not None:
            return
        zone = zone_named(policy.time_zone or self._time_zone)
        assert zone is not None, "settings and types file are checked"
        values = Values(event["user_id"], event["type"], event.get("data") or {}, zone=zone)
        chosen = self._library.choose(event["type"], None, None)
        text = chosen if isinstance(chosen, RenderFailed) else render(chosen, title, body, values)
        if isinstance(text, RenderFailed):
            raise ValueError(text.reason)
        event["title"], event["body"] = text.title, text.body
