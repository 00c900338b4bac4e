"""The guard: every request passes it before its view. It asks the table what the route needs, and who is asking."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, cast

from aiohttp import web

from streams.policies.token_buckets import BucketRule, TokenBuckets
from streams.web.problems import PROBLEM_TYPE, Handler
from streams.web.security.audit_log import AuditLog, AuditUnwrittenError, Deed
from streams.web.security.authentication import CSRF_HEADER, Authentication
from streams.web.security.callers import CALLER, NOBODY, Caller
from streams.web.security.keys import KeyRefusedError
from streams.web.security.origins import foreign_origin, host_is_ours
from streams.web.security.refusals import REALM, DeniedError, no_key, too_many
from streams.web.security.scopes import SAFE_METHODS, Rule, rule_of
from streams.web.security.security import Security
from streams.web.security.slow_bodies import SlowBodyError, in_time

logger = logging.getLogger(__name__)

NAMES_MAX: Final = 10_000  # addresses and keys whose requests are counted at the same time
BURST_SECONDS: Final = 2.0
HEALTH: Final = ("/health/live", "/health/ready")


class Guard:
    """Decides which requests reach their views. One for each worker."""

    def __init__(self, security: Security, authentication: Authentication, log: AuditLog) -> None:
        self._security = security
        self.authentication = authentication
        self.log = log
        self._under_way = 0
        self.refused: Counter[int] = Counter()
        """By status."""
        api = security.settings.api
        self._of_key = TokenBuckets(_rule(api.per_second_max), NAMES_MAX)
        self._anonymous = TokenBuckets(_rule(api.anonymous_per_second_max), NAMES_MAX)
        failed = api.failed_per_minute_max
        self._failed = TokenBuckets(BucketRule(failed / 60, max(1.0, failed)), NAMES_MAX)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse the request, or let its view answer."""
        rule, caller = None, NOBODY
        try:
            rule = self._rule_of(request)
            caller = self._caller(request)
            self._check_origin(request, rule, caller)
            self._check_rate(request, rule, caller)
            self._check_access(rule, caller)
            with self._place(rule, caller):
                CALLER.set(caller)
                response = await self._answered(request, rule, caller, handler)
        except DeniedError as error:
            self.refused[error.status] += 1
            if rule is not None and rule.action and error.status == HTTPStatus.FORBIDDEN:
                self._note_refusal(request, rule.action, caller, error)
            return error.answer()
        if caller.by == "session":
            self.authentication.renew(request, response)
        return response

    async def _answered(
        self, request: web.Request, rule: Rule | None, caller: Caller, handler: Handler
    ) -> web.StreamResponse:
        """Let the view answer. A list that is read line by line may take its time: its view bounds its silences."""
        if rule is not None and rule.bytes_max is None:
            return await self._written_down(request, rule.action, caller, handler)
        try:
            with in_time(request, self._security.settings.api.read_seconds_max):
                if rule is not None and rule.action:
                    return await self._written_down(request, rule.action, caller, handler)
                return await handler(request)
        except SlowBodyError as error:
            raise DeniedError(408, str(error)) from None
        except web.RequestPayloadError:
            raise DeniedError(400, "the body breaks off, or is not put together as its head says") from None

    async def _written_down(
        self, request: web.Request, action: str, caller: Caller, handler: Handler
    ) -> web.StreamResponse:
        """Do what an admin wants, between two entries of the audit log: without the first one it is not done."""
        deed = Deed.of(action, caller, self.authentication.address(request), request)
        try:
            await self.log.write(deed, "STARTED")
        except AuditUnwrittenError as error:
            logger.error("%s by %s is refused, the audit log cannot be written: %s", action, caller.shown, error)
            raise DeniedError(503, "nothing was done: the audit log cannot be written; ask again") from None
        status, detail = 500, "no answer"
        try:
            response = await handler(request)
            status, detail = response.status, _problem_of(response)
        except DeniedError as error:
            status, detail = error.status, str(error)
            raise
        except web.HTTPException as error:
            status, detail = error.status, error.reason
            raise
        except (SlowBodyError, web.RequestPayloadError) as error:
            status, detail = 400, type(error).__name__
            raise
        finally:
            await self.log.note(deed, "DONE" if status < 400 else "FAILED", status, detail)
        return response

    def _note_refusal(self, request: web.Request, action: str, caller: Caller, error: DeniedError) -> None:
        """Write down who was refused, as often as refusals are answered."""
        if caller.key_id and not self._failed.take(caller.key_id, time.monotonic()):
            deed = Deed.of(action, caller, self.authentication.address(request), request)
            self.log.note_besides(deed, "REFUSED", error.status, str(error))

    def _rule_of(self, request: web.Request) -> Rule | None:
        """Return the rule of the route; None: there is no such route, and the router is going to say so."""
        resource = request.match_info.route.resource
        if resource is None:
            return None
        rule = rule_of(request.method, resource.canonical)
        if rule is None:
            logger.error("%s %s has no entry in the table of scopes", request.method, resource.canonical)
            raise DeniedError(403, "nobody may call this: it has no entry in the table of scopes")
        length = request.content_length or 0
        if rule.bytes_max is not None and length > rule.bytes_max:
            raise DeniedError(413, f"the body has {length:,} bytes, at most {rule.bytes_max:,} are taken here")
        return rule

    def _caller(self, request: web.Request) -> Caller:
        try:
            return self.authentication.caller(request)
        except KeyRefusedError as error:
            raise self.failed(request, error) from None

    def _check_origin(self, request: web.Request, rule: Rule | None, caller: Caller) -> None:
        """Refuse what a page elsewhere may have sent, or what was sent under a name that is not ours."""
        authentication = self.authentication
        if caller.by in ("key", "worker") or rule is None or request.path in HEALTH:
            return  # a page elsewhere has no key, and cannot send a header that would need one
        is_public = rule.access == "public"
        foreign = foreign_origin(request.method, request.headers, is_page=is_public)
        if foreign is not None:
            raise DeniedError(403, foreign)
        if authentication.is_open or rule.access == "metrics":
            host = request.headers.get("Host", "")
            if not host_is_ours(host, self._security.hosts):
                detail = (
                    f"Host: {host[:100]} is no name of this worker; RINGONCE_API_ALLOWED_HOSTS names those that are"
                )
                raise DeniedError(421, detail)
        is_login = is_public and request.method == "POST"
        needs_token = caller.by == "session" and request.method not in SAFE_METHODS and not is_login
        if needs_token and not authentication.has_csrf_token(request, caller.session_id):
            raise DeniedError(403, f"{CSRF_HEADER}: must be the csrf_token that GET /session tells")

    def failed(self, request: web.Request, error: KeyRefusedError) -> DeniedError:
        """Count a refused key, and return with what it is refused."""
        address = self.authentication.address(request)
        wait = self._failed.take(address, time.monotonic())
        if wait:
            return too_many("too many refused keys from this address", wait)
        who = Caller("nobody", key_id=error.key_id, name=error.key_name)
        self.log.note_besides(Deed.of("key.refused", who, address, request), "REFUSED", 401, str(error))
        return no_key(str(error), is_wrong=True)

    def _check_rate(self, request: web.Request, rule: Rule | None, caller: Caller) -> None:
        now = time.monotonic()
        if caller.key_id and caller.by != "worker":
            wait = self._of_key.take(caller.key_id, now)
        elif caller is NOBODY and request.path not in HEALTH:
            wait = self._anonymous.take(self.authentication.address(request), now)
        else:
            wait = 0.0
        if wait:
            raise too_many("more requests than one caller may send", wait)

    def _check_access(self, rule: Rule | None, caller: Caller) -> None:
        if rule is None or rule.access == "public":
            return
        if rule.access == "metrics":
            if self._security.metrics_are_open:
                return
            scope = "read"
        else:
            scope = rule.access
        if caller is NOBODY:
            raise no_key(f"an API key with the scope {scope} is needed: Authorization: Bearer …")
        if scope not in caller.scopes:
            challenge = f'{REALM}, error="insufficient_scope", scope="{scope}"'
            raise DeniedError(
                403, f"the scope {scope} is needed, and this key has it not", {"WWW-Authenticate": challenge}
            )

    @contextmanager
    def _place(self, rule: Rule | None, caller: Caller) -> Iterator[None]:
        """Hold a place among those that are under way. Forwarded ones were counted where they came in."""
        if caller.by == "worker" or rule is None:
            yield
            return
        if self._under_way >= self._security.settings.api.requests_max and rule.access != "public":
            raise DeniedError(503, f"{self._under_way} requests are under way already; ask again")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1


def _problem_of(response: web.StreamResponse) -> str:
    """Return what a problem document says."""
    if response.content_type != PROBLEM_TYPE or not isinstance(response, web.Response):
        return ""
    try:
        return str(json.loads(cast(bytes, response.body))["detail"])
    except (ValueError, KeyError, TypeError):
        return ""


def _rule(per_second: float) -> BucketRule:
    return BucketRule(per_second, max(1.0, per_second * BURST_SECONDS))
