"""A record of the topic `templates`, read and checked."""

from __future__ import annotations

from typing import cast

from schemas.codec import Codec
from schemas.keys import check_type
from schemas.poison import PoisonError
from schemas.records import Template
from streams.policies.rendering import TypeTemplate
from streams.templates.documents import TemplateDocument, TemplatesError, compiled, document_of


def read_record(key: bytes | None, value: bytes | None, codec: Codec) -> TemplateDocument | None:
    """Return what a record says; None: there is no template any more. Raises PoisonError, and what a codec raises."""
    if key is None:
        raise PoisonError("NO_KEY", "the record has no key; it must be the type")
    check_type(key)
    if value is None:
        return None
    record = cast(Template, codec.decode(value, ("Template",)).record)
    if record["type"].encode() != key:
        raise PoisonError("KEY_MISMATCH", f"the key {key.decode()} is not the type {record['type'][:100]!r}")
    return document_of(record)


def check_record(key: bytes | None, value: bytes | None, codec: Codec) -> None:
    """Raise PoisonError for a record that no worker can use, with every mistake that it has."""
    document = read_record(key, value, codec)
    try:
        if document is not None:
            compiled_record(document)
    except TemplatesError as error:
        raise PoisonError("INVALID_FIELD", "; ".join(error.lines)) from None


def compiled_record(document: TemplateDocument) -> TypeTemplate:
    """Return the template of a record, compiled. Raises TemplatesError."""
    return compiled(document, "topic")
