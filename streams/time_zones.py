"""Time zones by their IANA name, from the `tzdata` package alone.

What the machine brings along is not looked at: a container may have no zones, and two machines may have two editions.
So all workers of one release agree, and a new edition comes with a new release of the package.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

UTC_NAME = "UTC"


@cache
def zone_names() -> frozenset[str]:
    """The names that there are, links such as `Asia/Calcutta` included. Case matters."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def zone_named(name: str) -> ZoneInfo | None:
    """The zone of this name, or None where there is no such zone."""
    return _load(name) if name in zone_names() else None


def known_zone(name: str) -> str:
    """The name, if there is such a zone. Raises ValueError with a sentence for whoever wrote it."""
    if name in zone_names():
        return name
    close = difflib.get_close_matches(name, zone_names(), n=1)
    raise ValueError(f"there is no time zone {name!r}" + (f"; did you mean {close[0]}?" if close else ""))


@cache  # bounded by the names that there are
def _load(name: str) -> ZoneInfo:
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)
