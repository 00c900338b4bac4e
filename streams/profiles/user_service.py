"""The user service: one request for a user at a time, a few for all of them, and none while it does not answer.

known?  → remembered
open?   → unavailable, without a request (streams/policies/breaking.py)
else    → GET, within `timeout_seconds`; again after a failed connection, a 5xx or a 429 that says when
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from connectors.http.outcomes import retry_after_seconds
from streams.policies.breaking import Breaker, BreakerRule, after
from streams.policies.profiles import Lookup, NotFound, Profile, Unavailable, Unusable
from streams.policies.user_service import BODY_BYTES_MAX, Answer, NoAnswer, lookup_of, retry_in_ms
from streams.profiles.address import shown_host, user_url
from streams.profiles.bearer import BearerToken
from streams.profiles.cache import ProfileCache
from streams.time_zones import zone_named

logger = logging.getLogger(__name__)

TURN_SECONDS_MAX: Final = 10.0  # how long a lookup waits for its turn; with it, for all its attempts
KEEP_ALIVE_SECONDS: Final = 30.0
REASON_CHARACTERS_MAX: Final = 200
# Texts wait for it, so it is tried again soon: after 1, 2, 4 … seconds.
BREAKER: Final = BreakerRule(run_max=5, sample_min=50, open_ms_first=1_000, open_ms_max=30_000)


@dataclass(frozen=True, slots=True)
class UserServiceConfig:
    """`requests_max`: under way at once, in one worker. `found_seconds`, `not_found_seconds`: how long an answer is
    remembered, in `cache_bytes_max` at most."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout_seconds: float = 2.0
    attempts: int = 3
    requests_max: int = 20
    found_seconds: float = 300.0
    not_found_seconds: float = 60.0
    cache_bytes_max: int = 32 * 1024 * 1024
    breaker: BreakerRule = BREAKER


class UserService:
    """A ProfileSource. Its `counts` are lookups by how they ended, `cached` among them.

    Raises TokenFileError, ssl.SSLError and OSError for files that cannot be used; connects to nothing yet.
    """

    def __init__(
        self,
        config: UserServiceConfig,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._config = config
        self._clock = clock
        self._chance = chance
        self._token = None if config.token_file is None else BearerToken(config.token_file)
        self._cache = ProfileCache(config.cache_bytes_max, config.found_seconds, config.not_found_seconds, clock)
        self._breaker = Breaker()
        self._asking = 0
        self._failure = ""
        self._gate = asyncio.Semaphore(config.requests_max)
        self._under_way: dict[str, asyncio.Task[Lookup]] = {}
        self.counts: Counter[str] = Counter()
        self.requests = 0
        is_tls = config.url.startswith("https:")
        self._tls = ssl.create_default_context(cafile=config.ca_file) if is_tls else None
        self._http: aiohttp.ClientSession | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked at the moment."""
        return self._breaker.is_open(self._now_ms())

    @property
    def is_failing(self) -> bool:
        """Whether it is left alone or being tried: from when it opened until an answer of the service closes it."""
        return self._breaker.open_until > 0

    @property
    def users_cached(self) -> int:
        """How many users something is remembered of."""
        return self._cache.users

    def known(self, user_id: str) -> Lookup | None:
        """See ProfileSource."""
        found = self._cache.get(user_id)
        if found is not None:
            self.counts["cached"] += 1
            return found
        return self._refused()

    def forget(self, user_id: str) -> None:
        """See ProfileSource."""
        self._cache.forget(user_id)
        task = self._under_way.get(user_id)
        if task is not None:
            task.add_done_callback(lambda _: self._cache.forget(user_id))

    async def fetch(self, user_id: str) -> Lookup:
        """See ProfileSource. Who asks for the same user while a request is under way gets its answer."""
        found = self._cache.get(user_id)
        if found is not None:
            return found
        task = self._under_way.get(user_id)
        if task is None:
            task = self._under_way[user_id] = asyncio.create_task(self._look_up(user_id))
            task.add_done_callback(lambda _: self._under_way.pop(user_id, None))
        # `wait` takes the request along neither when one who waits is given up, nor when his patience ends.
        done, _ = await asyncio.wait((task,), timeout=TURN_SECONDS_MAX + self._config.timeout_seconds)
        if not done or task.cancelled():
            return Unavailable("the user service: too many wait for it")
        return task.result()

    async def close(self) -> None:
        """Close the connections; what is under way is given up."""
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    async def _look_up(self, user_id: str) -> Lookup:
        attempt = 0
        while True:
            attempt += 1
            async with self._gate:
                found = self._refused() or await self._ask(user_id)
            wait_ms = retry_in_ms(found, attempt, self._config.attempts, self._chance())
            if wait_ms is None:
                break
            await asyncio.sleep(wait_ms / 1000)
        self._cache.put(user_id, found)
        self.counts[_NAMES[type(found)]] += 1
        return found

    def _refused(self) -> Unavailable | None:
        """What is said instead of asking: it is left alone, and nobody or somebody else tries it right now."""
        breaker, now = self._breaker, self._now_ms()
        if not breaker.open_until or self._asking < breaker.allowed(now):
            return None
        return Unavailable(self._failure, max(0, breaker.open_until - now))

    async def _ask(self, user_id: str) -> Lookup:
        self.requests += 1
        self._asking += 1
        try:
            found = lookup_of(await self._answer(user_id), zone_named)
        finally:
            self._asking -= 1
        self._note(found)
        return found

    def _note(self, found: Lookup) -> None:
        """Note what an answer says of the service, and tell people when it is left alone and when no longer."""
        before, rule, host = self._breaker, self._config.breaker, shown_host(self._config.url)
        if isinstance(found, Unavailable):
            self._failure = found.reason
            self._breaker = after(before, "FAILING", self._now_ms(), rule, found.again_ms)
            if self._breaker.open_until and not before.open_until:
                # Whoever runs the user service must act: until then texts have no profiles.
                logger.error("%s: %s; it is asked again now and then", host, found.reason)
        else:
            self._breaker = after(before, "ALIVE", self._now_ms(), rule)
            if before.open_until and not self._breaker.open_until:
                logger.warning("the user service %s answers again", host)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    async def _answer(self, user_id: str) -> Answer | NoAnswer:
        """One request. Never raises for anything that the network or the service can do."""
        headers = {} if self._token is None else {"Authorization": self._token.header}
        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                return await self._read(user_url(self._config.url, user_id), headers)
        except TimeoutError:
            return NoAnswer(f"no answer within {self._config.timeout_seconds:g} s", at_once=False)
        except aiohttp.ClientConnectorError as error:
            return NoAnswer(f"no connection ({str(error)[:REASON_CHARACTERS_MAX]})", at_once=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # A GET may be sent again: a server may close a connection at the moment at which it is used again.
            known = isinstance(error, aiohttp.ClientError)
            return NoAnswer(f"the request failed ({type(error).__name__})", at_once=known)

    async def _read(self, url: str, headers: dict[str, str]) -> Answer:
        # As it is: what is quoted stays quoted, dot segments included.
        asked = self._session().get(URL(url, encoded=True), headers=headers, allow_redirects=False)
        async with asked as response:
            body = b""
            while len(body) <= BODY_BYTES_MAX and (more := await response.content.read(BODY_BYTES_MAX + 1 - len(body))):
                body += more
            if response.status == 401 and self._token is not None:
                self._token.renew()
            return Answer(
                response.status,
                body if len(body) <= BODY_BYTES_MAX else None,
                response.headers.get("content-encoding", ""),
                retry_after_seconds({"retry-after": response.headers.get("retry-after", "")}, time.time()),
            )

    def _session(self) -> aiohttp.ClientSession:
        """The connections, opened by the first request: they belong to the event loop that it runs on."""
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._config.requests_max,
                    keepalive_timeout=KEEP_ALIVE_SECONDS,
                    ssl=self._tls if self._tls is not None else False,
                ),
                # What is told about one user must not be known to the request for the next one.
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "ringonce"},
                timeout=aiohttp.ClientTimeout(total=None),  # the whole request has one limit, in `_answer`
                auto_decompress=False,
            )
        return self._http


_NAMES: Final[dict[type[Lookup], str]] = {
    Profile: "found",
    NotFound: "not_found",
    Unusable: "unusable",
    Unavailable: "unavailable",
}
OUTCOMES: Final = (*_NAMES.values(), "cached")
