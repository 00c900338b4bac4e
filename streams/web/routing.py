"""Which worker answers for a key: this one, another one, or none while partitions move."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from yarl import URL

from schemas.keys import partition_of
from streams.lane.app import LaneApp
from streams.lane.table import LaneTable

FORWARDED_HEADER = "ringonce-forwarded"
FORWARD_SECONDS_MAX = 5.0
FORWARDS_AT_ONCE_MAX = 50
RETRY_AFTER_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Here:
    """This worker owns the partition, and its state is complete."""

    partition: int


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The worker with this URL owns it."""

    url: URL


@dataclass(frozen=True, slots=True)
class Moving:
    """Nobody answers for it right now: partitions move, or their state is being recovered."""


Owner = Here | Elsewhere | Moving


class Routing:
    """Finds the owner of a key, and asks it."""

    def __init__(self, app: LaneApp) -> None:
        self._app = app
        self._client: httpx.AsyncClient | None = None

    def owner(self, table: LaneTable, stage: str, key: bytes) -> Owner:
        """Return who answers for this key of the table."""
        partition = partition_of(key, self._app.options.partitions)
        if not self._app.rebalancing and partition in self._app.lanes.lanes(stage):
            return Here(partition)
        own = str(self._app.conf.canonical_url)
        for url, topics in self._app.assignor.tables_metadata().items():
            if partition in topics.get(table.changelog, ()) and url != own:
                return Elsewhere(URL(url))
        return Moving()

    async def forward(self, url: URL, path: str) -> httpx.Response | None:
        """Ask another worker; None where it does not answer in time."""
        if self._client is None:
            limits = httpx.Limits(max_connections=FORWARDS_AT_ONCE_MAX)
            self._client = httpx.AsyncClient(timeout=FORWARD_SECONDS_MAX, limits=limits, trust_env=False)
        try:
            return await self._client.get(str(url.join(URL(path))), headers={FORWARDED_HEADER: "1"})
        except httpx.HTTPError:
            return None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
