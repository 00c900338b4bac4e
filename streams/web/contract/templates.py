"""The templates: what a worker would render by, and trying it out."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from streams.templates.preview import Preview
from streams.web.contract.operation import Answer, Body, Operation
from streams.web.contract.shown import Shown


class VariantListed(Shown):
    """For which readers a template has what."""

    locale: str | None
    provider: str | None
    fields: list[str]


class VariantInFull(Shown):
    """The sources of one variant."""

    locale: str | None
    provider: str | None
    title: str = ""
    body: str = ""
    image: str = ""
    link: str = ""
    data: dict[str, str] = Field(default_factory=dict)


class TemplateShown(Shown):
    """What is known of the template of a type."""

    type: str
    source: str
    refused: str | None = Field(description="Why a newer one is not used; null: none was refused.")
    version: str | None
    default_locale: str | None = None
    background: bool = False
    uses: list[str] = Field(default_factory=list, description="Names in its sources.")


class TemplateListed(TemplateShown):
    """A template without its sources."""

    variants: list[VariantListed]


class TemplateInFull(TemplateShown):
    """A template with its sources."""

    variants: list[VariantInFull]
    types_file: dict[str, Any] = Field(default_factory=dict, description="What the types file says.")


class Templates(Shown):
    """All templates that this worker has."""

    templates: list[TemplateListed]


class Rendered(Shown):
    """What a reader would see."""

    title: str
    body: str
    image: str | None
    link: str | None
    data: dict[str, str]
    version: str | None
    source: str


OPERATIONS = (
    Operation(
        "GET",
        "/templates",
        "templates",
        "templates",
        "read",
        "The types that have a template, or stand in the types file",
        {200: Answer("Without their sources.", Templates)},
    ),
    Operation(
        "GET",
        "/templates/{type}",
        "template",
        "templates",
        "read",
        "The template that counts for a type",
        {200: Answer("As it is written.", TemplateInFull)},
        (404,),
    ),
    Operation(
        "POST",
        "/templates/render",
        "renderTemplate",
        "templates",
        "read",
        "Try a template out",
        {200: Answer("What a reader would see.", Rendered)},
        (413, 415, 422),
        "422 says why there is nothing to see.",
        body=Body(
            Preview,
            1024 * 1024,
            {
                "german": {"type": "order_ready", "locale": "de-AT", "provider": "apns", "data": {"order": "1234"}},
                "draft": {"type": "order_ready", "template": {"title": "Order {{ order }}"}, "data": {"order": "1"}},
            },
        ),
    ),
)
