"""The codec as the settings want it: with the schema registry where one is set."""

from __future__ import annotations

from schemas.codec import Codec
from schemas.registry import SchemaRegistry
from streams.settings import Settings


def open_codec(settings: Settings) -> Codec:
    """A codec for this installation. Connects to nothing yet."""
    if settings.schema_registry_url is None:
        return Codec()
    auth = None
    if settings.schema_registry_username and settings.schema_registry_password:
        auth = (settings.schema_registry_username, settings.schema_registry_password.get_secret_value())
    return Codec(SchemaRegistry(settings.schema_registry_url, basic_auth=auth))
