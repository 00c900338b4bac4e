"""A setting that is wrong."""

from __future__ import annotations

ENV_PREFIX = "RINGONCE_"


class SettingsError(Exception):
    """One line for each setting that is wrong, ready to be shown: `RINGONCE_PARTITIONS: must be at least 1, is 0`."""


class MissingSettingError(ValueError):
    """A setting without which another one cannot be used."""

    def __init__(self, name: str, needed_by: str) -> None:
        super().__init__(f"must be set, because {ENV_PREFIX}{needed_by.upper()} is")
        self.name = name
