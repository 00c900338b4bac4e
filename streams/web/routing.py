"""Which worker answers for a key: this one, another one, or none while partitions move."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
from aiohttp import web

from schemas.keys import partition_of
from streams.lane.app import LaneApp
from streams.lane.table import LaneTable
from streams.web.forwarded import FORWARD_SECONDS_MAX, Forwarded, Forwarder
from streams.web.problems import problem

logger = logging.getLogger(__name__)

FORWARDED_HEADER = "ringonce-forwarded"  # past the guard it is there only where a worker of ours has signed it
SIGNATURE_HEADER = "ringonce-signature"  # on the answer to a forwarded request whose signature is not accepted
SYSTEM_HEADER = "ringonce-system"  # on every answer about a slot: the app id of the worker that gave it
LOOK_SECONDS = 0.25
KEPT_HEADERS = ("Retry-After", "Content-Type")


@dataclass(frozen=True, slots=True)
class Here:
    """This worker owns the partition, and its state is complete."""

    partition: int


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The worker with this URL owns it."""

    url: str


@dataclass(frozen=True, slots=True)
class Moving:
    """Nobody answers for it right now: partitions move, or their state is being recovered."""


Owner = Here | Elsewhere | Moving


class Routing:
    """Finds the owner of a key, and asks it."""

    def __init__(self, app: LaneApp) -> None:
        self._app = app
        self._forwarder = Forwarder()
        self._doubtful_until = 0.0
        self.sign: Callable[[str, str, str], str] = lambda method, target, to: "1"
        """What says for whom a request is forwarded: by its method, its path with query, and the URL of the worker."""

    @property
    def settled(self) -> bool:
        """Whether this worker has its partitions, recovered, and has no reason to think that it lost them."""
        app = self._app
        if app.rebalancing or not app.lanes.opened.is_set():
            return False
        return asyncio.get_running_loop().time() >= self._doubtful_until

    def owner(self, table: LaneTable, stage: str, key: bytes) -> Owner:
        """Return who answers for this key of the table."""
        return self.owner_of(table, stage, partition_of(key, self._app.options.partitions))

    def owner_of(self, table: LaneTable, stage: str, partition: int) -> Owner:
        """Return who answers for this partition of the table."""
        if partition in self._app.lanes.lanes(stage):
            return Here(partition) if self.settled else Moving()
        own = str(self._app.conf.canonical_url)
        for url, topics in self._app.assignor.tables_metadata().items():
            if partition in topics.get(table.changelog, ()) and url != own:
                return Elsewhere(url)
        return Moving()

    def others(self, table: LaneTable) -> list[str]:
        """Return the URLs of the other workers that have partitions of this table."""
        own = str(self._app.conf.canonical_url)
        metadata = self._app.assignor.tables_metadata()
        return sorted(url for url, topics in metadata.items() if topics.get(table.changelog) and url != own)

    async def forward(self, url: str, *path: bytes, query: str = "") -> Forwarded | None:
        """Ask another worker; None where it does not answer in time, or where it is of another system."""
        # A user may be called `..`: an unquoted dot segment is taken out of a path on its way.
        quoted = "/".join(quote(part, safe="").replace(".", "%2E") for part in path)
        try:
            async with asyncio.timeout(FORWARD_SECONDS_MAX):
                answer = await self._forwarder.get(
                    f"{url.rstrip('/')}/{quoted}",
                    query,
                    lambda target: {FORWARDED_HEADER: self.sign("GET", target, url)},
                )
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        if SIGNATURE_HEADER in answer.headers:
            logger.error("%s does not accept what this worker signs: %s", url, answer.text[:500])
            raise web.HTTPServiceUnavailable(
                reason="another worker does not accept what this one signs: RINGONCE_CLUSTER_SECRET and the time must "
                "be the same on both"
            )
        # The address of a worker that is gone may be somebody else's by now.
        return answer if answer.headers.get(SYSTEM_HEADER) == self._app.conf.id else None

    async def of_owner(
        self, request: web.Request, owner: Owner, path: Sequence[bytes], moving: str, query: str = ""
    ) -> web.Response:
        """Return what the owner answers, if that is another worker, and it answers; else 503 with `moving`.

        What was forwarded is not forwarded again: two workers that disagree would go on for ever.
        """
        if isinstance(owner, Elsewhere) and FORWARDED_HEADER not in request.headers:
            answer = await self.forward(owner.url, *path, query=query)
            if answer is not None:
                kept = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
                return web.Response(body=answer.content, status=answer.status_code, headers=kept)
        return problem(503, moving)

    async def doubt_after_pauses(self) -> None:
        """Run beside the worker: notice when the process stood still for so long that it may have lost partitions.

        Until the next heartbeats have told, what it knows of a slot may be of the past.
        """
        options, loop = self._app.options, asyncio.get_running_loop()
        pause_seconds_max = options.session_timeout_seconds - 2 * options.heartbeat_seconds
        looked_at = loop.time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = loop.time()
            if now - looked_at > pause_seconds_max:
                self._doubtful_until = now + 2 * options.heartbeat_seconds
            looked_at = now

    async def close(self) -> None:
        """Close the connections."""
        await self._forwarder.close()
