"""Finds out who asks: by the signature of a worker, else by an API key, else by a session; else it is nobody."""

from __future__ import annotations

import hmac
import ipaddress
import time
from collections.abc import Callable

from aiohttp import web

from streams.web.routing import FORWARDED_HEADER, SIGNATURE_HEADER
from streams.web.security.callers import ANYBODY, NOBODY, Caller
from streams.web.security.forwarding import Forwarded, SignatureError, read_forwarded, sign_forwarded
from streams.web.security.keys import ApiKey, KeyBook, KeyRefusedError, mark_of
from streams.web.security.keys_file import KeysFileError
from streams.web.security.refusals import DeniedError, no_key
from streams.web.security.security import Security
from streams.web.security.sessions import Session, csrf_token, read_session, session_token

CSRF_HEADER = "X-CSRF-Token"
COOKIE = "ringonce-session"
_SESSION: web.RequestKey[Session | None] = web.RequestKey("session")  # what was read of the cookie
HOST_COOKIE = f"__Host-{COOKIE}"  # over TLS: a browser takes it from this very host only
SHARED_PREFIX_IPV6 = 64  # whoever has one address has all of these


class Authentication:
    """Reads who asks, and writes what a worker says for a caller. `own_url`: as other workers call it."""

    def __init__(self, security: Security, own_url: Callable[[], str]) -> None:
        self._security = security
        self._own_url = own_url

    @property
    def is_open(self) -> bool:
        """Whether there are no keys."""
        return self._security.keys is None

    def book(self) -> KeyBook:
        """Return the keys. Raises DeniedError where they cannot be read."""
        assert self._security.keys is not None, "an open worker asks for none"
        try:
            return self._security.keys.book
        except KeysFileError:
            raise DeniedError(503, "the API keys cannot be read; the worker's log says why") from None

    def caller(self, request: web.Request) -> Caller:
        """Return who asks; NOBODY where nobody is named. Raises KeyRefusedError and DeniedError."""
        header = request.headers.get(FORWARDED_HEADER)
        if header is not None:
            return self._forwarded(request, header)
        if self.is_open:
            return ANYBODY
        authorization = request.headers.get("Authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer":
                raise no_key("Authorization: must be Bearer and an API key", is_wrong=True)
            return of_key(self.book().find(token.strip(), _now_ms()))
        session = self.session(request)
        if session is None:
            return NOBODY
        key = self.book().of_session(session.key_id, session.mark, _now_ms())
        return NOBODY if key is None else Caller("session", key.scopes, key.id, key.name, session.session_id)

    def _forwarded(self, request: web.Request, header: str) -> Caller:
        key = self._security.forward_key
        if key is None:
            return ANYBODY  # it says no more than: do not forward this again
        asked = Forwarded(request.method, request.raw_path, self._own_url())
        skew_ms = int(self._security.settings.clock_skew_seconds_max * 1000)
        try:
            if request.can_read_body:
                raise SignatureError("what is forwarded has no body")
            return read_forwarded(header, asked, _now_ms(), skew_ms, key)
        except SignatureError as error:
            headers = {SIGNATURE_HEADER: "refused"}
            raise DeniedError(403, f"{FORWARDED_HEADER}: {error}", headers) from None

    def sign(self, method: str, target: str, to: str, caller: Caller) -> str:
        """Return the header with which a request is forwarded for a caller."""
        key = self._security.forward_key
        return "1" if key is None else sign_forwarded(Forwarded(method, target, to), caller, _now_ms(), key)

    # --- sessions

    def session(self, request: web.Request) -> Session | None:
        """Return the session that the cookie tells of; None: there is none, or it is over. Read once a request."""
        if _SESSION not in request:
            request[_SESSION] = self._read_session(request)
        return request[_SESSION]

    def _read_session(self, request: web.Request) -> Session | None:
        cookie = request.cookies.get(_cookie_name(request))
        session = None if cookie is None else read_session(cookie, self._security.session_key)
        if session is None or session.is_over(_now_ms(), self._security.session_rule):
            return None
        ended = self._security.ended
        if not ended.known:
            raise DeniedError(503, "it is not known yet which sessions have ended; ask again")
        return None if ended.has(session) else session

    def begin(self, request: web.Request, response: web.Response, key: ApiKey, session_id: str) -> None:
        """Begin a session: every worker knows it by what the answer sets."""
        now = _now_ms()
        self._set(request, response, Session(session_id, key.id, mark_of(key), now, now))

    def renew(self, request: web.Request, response: web.StreamResponse) -> None:
        """Say in the answer that the session was used, when it was long enough ago that this was last said."""
        if _cookie_name(request) in response.cookies:
            return  # a view has begun another one, or ended it
        session = self.session(request)
        renewed = None if session is None else session.renewed(_now_ms(), self._security.session_rule)
        if renewed is not None and not response.prepared:
            self._set(request, response, renewed)

    def end(self, request: web.Request, response: web.Response, session_id: str = "") -> None:
        """End a session on this worker, from now on, and let the browser forget it."""
        if session_id:
            self._security.ended.end(session_id, _now_ms())
        name = _cookie_name(request)
        response.del_cookie(name, path="/", secure=_is_https(request), httponly=True, samesite="Strict")

    def csrf_token(self, session_id: str) -> str:
        """Return what unsafe requests of a session must bring."""
        return csrf_token(session_id, self._security.session_key)

    def has_csrf_token(self, request: web.Request, session_id: str) -> bool:
        """Tell whether a request brings it."""
        given = request.headers.get(CSRF_HEADER, "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self.csrf_token(session_id).encode())

    def _set(self, request: web.Request, response: web.StreamResponse, session: Session) -> None:
        rule = self._security.session_rule
        response.set_cookie(
            _cookie_name(request),
            session_token(session, self._security.session_key),
            path="/",
            max_age=max(0, -(-(session.begun_at + rule.whole_ms - _now_ms()) // 1000)),
            secure=_is_https(request),
            httponly=True,
            samesite="Strict",
        )

    def address(self, request: web.Request) -> str:
        """Return whose requests are counted together: an address, or the network that one IPv6 user has."""
        proxies = self._security.settings.api.proxies
        told = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",") if proxies else []
        text = told[-proxies].strip() if proxies and len(told) >= proxies else request.remote or ""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return request.remote or ""
        if address.version == 4:
            return str(address)
        return str(ipaddress.ip_network((address, SHARED_PREFIX_IPV6), strict=False))


def of_key(key: ApiKey) -> Caller:
    """Return the caller that has this key."""
    return Caller("key", key.scopes, key.id, key.name)


def _is_https(request: web.Request) -> bool:
    """Whoever lies about it, lies to himself: it only decides how his own cookie is set."""
    told = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
    return request.secure or told == "https"


def _cookie_name(request: web.Request) -> str:
    return HOST_COOKIE if _is_https(request) else COOKIE


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


__all__ = ["Authentication", "KeyRefusedError"]
