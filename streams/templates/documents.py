"""The template of a type as people write it (TOML, JSON) and as the topic has it (Avro), checked as a whole.

title = "Order {{ order }} is ready"        any locale, any provider

[webpush]                                   any locale, Web Push
[locales.de]                                readers of German
[locales.de.apns]                           the same on APNs
[locales.de.apns.data]                      values for the app
[sample]                                    values for `ringonce template check`
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.outcome import ProviderName
from schemas.keys import check_type
from schemas.poison import PoisonError
from schemas.records import Template, TemplateVariant
from streams.policies.rendering import (
    Compiled,
    TemplateError,
    TypeTemplate,
    Variant,
    VariantKey,
    canonical,
    compile_source,
    wrong_locale,
)
from streams.violations import sentence

VARIANTS_MAX: Final = 200
CHARACTERS_MAX: Final = 65_536  # of all sources of one type: compiling them takes about a third of a second
DATA_MAX: Final = 50
PROVIDERS: Final = tuple(provider.value for provider in ProviderName)
FIELDS: Final = ("title", "body", "image", "link")

_VERSION = re.compile(r"[!-~]{1,64}")
_DATA_NAME = re.compile(r"[!-~]{1,100}")
# What our connectors write themselves, and what Firebase reserves ("About FCM messages").
_RESERVED: Final = frozenset(
    ("aps", "notification_id", "type", "push_id", "image", "link", "from", "message_type", "gcm", "google")
)
_RESERVED_STARTS: Final = ("google.", "gcm.")


class TemplatesError(Exception):
    """Templates that cannot be used; one line for each mistake: where it is, and what is wrong."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines: Final = tuple(lines)
        super().__init__("\n".join(self.lines))


class _Texts(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    title: str | None = None
    body: str | None = None
    image: str | None = None
    link: str | None = None
    data: dict[str, str] = Field(default_factory=dict)


class _TextsByProvider(_Texts):
    apns: _Texts = _Texts()
    fcm: _Texts = _Texts()
    webpush: _Texts = _Texts()
    webhook: _Texts = _Texts()


class _File(_TextsByProvider):
    version: str | None = None
    locales: dict[str, _TextsByProvider] = Field(default_factory=dict)
    sample: dict[str, str] = Field(default_factory=dict)
    sample_profile: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TemplateDocument:
    """What a template says, not compiled. `variants` are records as the topic has them; `sample` is for checking."""

    type: str
    version: str
    variants: tuple[TemplateVariant, ...]
    sample: Mapping[str, str] = field(default_factory=dict)
    sample_profile: Mapping[str, Any] = field(default_factory=dict)


def read_document(type: str, values: Mapping[str, Any]) -> TemplateDocument:
    """Return what a file or a request says of a type. Raises TemplatesError."""
    try:
        file = _File.model_validate(values)
    except ValidationError as error:
        raise TemplatesError(_line(details) for details in error.errors()) from None
    variants = tuple(_variants(file))
    return TemplateDocument(type, file.version or version_of(variants), variants, file.sample, file.sample_profile)


def _line(details: Any) -> str:
    where = ".".join(str(part) for part in details["loc"])
    return f"{where}: {'no such key' if details['type'] == 'extra_forbidden' else sentence(details)}"


def _variants(file: _File) -> Iterator[TemplateVariant]:
    for locale, texts in ((None, file), *file.locales.items()):
        for provider in (None, *PROVIDERS):
            said: _Texts = texts if provider is None else getattr(texts, provider)
            variant = said.model_dump(include={*FIELDS, "data"})
            if any(variant[name] is not None for name in FIELDS) or variant["data"]:
                yield cast(TemplateVariant, {"locale": locale, "provider": provider, **variant})


def version_of(variants: Iterable[TemplateVariant]) -> str:
    """Return the version of a template that names none: it changes with what the template says."""
    text = json.dumps(list(variants), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def record_of(document: TemplateDocument, published_at: int, published_by: str | None) -> Template:
    """Return the record for the topic."""
    return {
        "type": document.type,
        "version": document.version,
        "variants": list(document.variants),
        "published_at": published_at,
        "published_by": published_by,
    }


def document_of(record: Template) -> TemplateDocument:
    """Return what a record of the topic says."""
    return TemplateDocument(record["type"], record["version"], tuple(record["variants"]))


def compiled(document: TemplateDocument, source: str) -> TypeTemplate:
    """Return the template, compiled and checked. Raises TemplatesError with every mistake that it has."""
    lines: list[str] = []
    try:
        check_type(document.type.encode())
    except PoisonError as error:
        lines.append(error.reason)
    if not _VERSION.fullmatch(document.version):
        lines.append(f"version: must be 1 to 64 visible characters of ASCII, is {document.version[:80]!r}")
    if not 1 <= len(document.variants) <= VARIANTS_MAX:
        lines.append(f"has {len(document.variants)} variants, must have 1 to {VARIANTS_MAX}")
    characters = sum(len(text) for variant in document.variants for _, text in _sources(variant))
    if characters > CHARACTERS_MAX:
        lines.append(f"has {characters:,} characters, at most {CHARACTERS_MAX:,} are allowed")
    if lines:
        raise TemplatesError(lines)
    variants: dict[VariantKey, Variant] = {}
    for written in document.variants:
        key = _key(written, lines)
        if key in variants:
            lines.append(f"{key}: is there twice")
        variants[key] = _compiled_variant(key, written, lines)
    if lines:
        raise TemplatesError(lines)
    return TypeTemplate(document.type, document.version, source, variants)


def _sources(variant: TemplateVariant) -> Iterator[tuple[str, str]]:
    for name in FIELDS:
        text: str | None = variant.get(name)  # type: ignore[assignment] # these four are texts
        if text is not None:
            yield name, text
    for name, text in variant.get("data", {}).items():
        yield f"data.{name}", text


def _key(variant: TemplateVariant, lines: list[str]) -> VariantKey:
    locale, provider = variant.get("locale"), variant.get("provider")
    if locale is not None:
        wrong = wrong_locale(locale)
        if wrong is not None:
            lines.append(wrong)
        locale = canonical(locale) or locale
    if provider is not None and provider not in PROVIDERS:
        lines.append(f"{provider[:40]!r} is no provider; there are {', '.join(PROVIDERS)}")
    return VariantKey(locale, provider)


def _compiled_variant(key: VariantKey, written: TemplateVariant, lines: list[str]) -> Variant:
    found: dict[str, Compiled] = {}
    for name, text in _sources(written):
        try:
            found[name] = compile_source(text)
        except TemplateError as error:
            lines.append(f"{key}, {name}: {error}")
    names = written.get("data", {})
    if len(names) > DATA_MAX:
        lines.append(f"{key}, data: has {len(names)} values, at most {DATA_MAX} are allowed")
    for name in names:
        if not _DATA_NAME.fullmatch(name):
            lines.append(f"{key}, data: a name must be 1 to 100 visible characters of ASCII, is {name[:120]!r}")
        elif name in _RESERVED or name.startswith(_RESERVED_STARTS):
            lines.append(f"{key}, data.{name}: this name is taken by the push itself or by Firebase")
    data = {name: found[f"data.{name}"] for name in names if f"data.{name}" in found}
    title, body, image, link = (found.get(name) for name in FIELDS)
    return Variant(title, body, image, link, data)
