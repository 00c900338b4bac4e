"""A template tried out: what a reader would see, for given values. The command line and the web views share it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from streams.policies.rendering import RenderFailed, Text, TypeTemplate, Values, known_locale, render
from streams.publish.names import TypeName
from streams.templates.documents import compiled, read_document
from streams.templates.library import Refused, TemplateLibrary
from streams.time_zones import known_zone, zone_named


class Preview(BaseModel):
    """What is asked for. `template`: one that nobody has published yet, as it would stand in a file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: TypeName
    locale: Annotated[str, AfterValidator(known_locale)] | None = None
    provider: Literal["apns", "fcm", "webpush", "webhook"] | None = None
    time_zone: Annotated[str, AfterValidator(known_zone)] = "UTC"
    user_id: str = "user"
    title: str | None = None
    body: str | None = None
    data: dict[str, str] = Field(default_factory=dict)
    profile: dict[str, Any] = Field(default_factory=dict)
    template: dict[str, Any] | None = None


def previewed(library: TemplateLibrary, asked: Preview) -> tuple[TypeTemplate | Refused, Text | RenderFailed]:
    """Return the template, and what it makes of these values. Raises TemplatesError for one that is given and wrong."""
    template = library.of(asked.type)
    if asked.template is not None:
        template = library.within(compiled(read_document(asked.type, asked.template), "request"))
    if isinstance(template, Refused):
        return template, RenderFailed(template.reason)
    named = asked.locale or asked.profile.get("locale")
    locale = named if isinstance(named, str) else None
    zone = zone_named(asked.time_zone)
    assert zone is not None, "it is checked"
    values = Values(asked.user_id, asked.type, asked.data, locale, asked.profile, zone)
    return template, render(template.choose(locale, asked.provider), asked.title, asked.body, values)


def preview_document(template: TypeTemplate | Refused, text: Text) -> dict[str, Any]:
    """Return a preview as JSON has it."""
    version = template.version if isinstance(template, TypeTemplate) else None
    return {**text._asdict(), "data": dict(text.data), "version": version, "source": template.source}
