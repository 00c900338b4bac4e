"""Templates as JSON, for lists and for whoever edits them."""

from __future__ import annotations

from typing import Any

from streams.policies.rendering import TypeTemplate, Variant, VariantKey
from streams.templates.documents import FIELDS
from streams.templates.library import Refused


def template_document(template: TypeTemplate | Refused, refused: str | None, whole: bool) -> dict[str, Any]:
    """Return what is known of a type; `whole`: with the sources of its variants."""
    document: dict[str, Any] = {"type": template.type, "source": template.source, "refused": refused}
    if isinstance(template, Refused):
        return {**document, "version": None, "variants": []}
    variants = [_variant_document(key, variant, whole) for key, variant in template.variants.items()]
    if whole:
        document["types_file"] = _sources(template.last)
    return {
        **document,
        "version": template.version,
        "default_locale": template.locale,
        "background": template.background,
        "uses": sorted(template.variables),
        "variants": variants,
    }


def _variant_document(key: VariantKey, variant: Variant, whole: bool) -> dict[str, Any]:
    said = _sources(variant)
    if not whole:
        names = [name for name in said if name != "data"]
        said = {"fields": [*names, *(f"data.{name}" for name in variant.data)]}
    return {"locale": key.locale, "provider": key.provider, **said}


def _sources(variant: Variant) -> dict[str, Any]:
    texts = {name: getattr(variant, name) for name in FIELDS}
    sources: dict[str, Any] = {name: text.source for name, text in texts.items() if text is not None}
    if variant.data:
        sources["data"] = {name: text.source for name, text in variant.data.items()}
    return sources
