"""Access tokens for a service account, by Google's "Using OAuth 2.0 for server to server applications" (RFC 7523)."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.credentials import CredentialsError, load_rsa_key, read_credentials, sign_rs256

logger = logging.getLogger(__name__)

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Google's maximum for an assertion; its access tokens live about as long.
ASSERTION_SECONDS = 3_600
# Renewed in the background this long before the end, while the old token still serves.
RENEW_EARLY_SECONDS = 300.0
# A token is not used in its last seconds: the request has to arrive before its end.
MARGIN_SECONDS = 10.0
# After a failed request for a token the next one waits 1 s, doubling to 60 s.
BACKOFF_SECONDS_FIRST = 1.0
BACKOFF_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What is needed of the JSON file that Google calls a service account key."""

    project_id: str
    client_email: str
    key_id: str
    token_url: str
    key: rsa.RSAPrivateKey


def load_service_account(path: str, token_url: str | None = None) -> ServiceAccount:
    """Read the file; `token_url` replaces the file's own. Raises CredentialsError."""
    setting = "FCM service_account_file"
    content = read_credentials(path, setting)
    try:
        account: dict[str, Any] = json.loads(content)
        texts = [account[name] for name in ("project_id", "client_email", "private_key", "token_uri")]
    except (ValueError, TypeError, KeyError):
        texts = []
    if not all(isinstance(text, str) and text for text in texts) or not texts or not texts[0].isascii():
        raise CredentialsError(f"{setting}: {path!r} is not a service account key. Download one from the console.")
    project_id, client_email, private_key, token_uri = texts
    key = load_rsa_key(private_key, setting)
    return ServiceAccount(project_id, client_email, str(account.get("private_key_id", "")), token_url or token_uri, key)


class TokenError(Exception):
    """There is no access token. `reason` is Google's word for it (`invalid_grant`) or ours."""

    def __init__(self, reason: str, retry_after_seconds: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class AccessTokens:
    """The access token that all sends share; at most one request for a new one is under way at any time."""

    def __init__(
        self, account: ServiceAccount, context: ssl.SSLContext, clock: Callable[[], float], timeout_seconds: float
    ) -> None:
        self._account = account
        self._clock = clock
        self._http = httpx.AsyncClient(verify=context, timeout=timeout_seconds, trust_env=False)
        self._authorization = ""
        self._expires_at = float("-inf")
        self._renewal: asyncio.Task[None] | None = None
        self._failed = ""
        self._backoff_seconds = 0.0
        self._not_before = float("-inf")

    def known(self) -> str:
        """The value of the header where there is one that need not be renewed yet, else empty."""
        return self._authorization if self._clock() < self._expires_at - RENEW_EARLY_SECONDS else ""

    async def authorization(self) -> str:
        """The value of the header. Waits only where no token is good. Raises TokenError."""
        now = self._clock()
        if now < self._expires_at - RENEW_EARLY_SECONDS:
            return self._authorization
        if now < self._not_before:
            if now < self._expires_at - MARGIN_SECONDS:
                return self._authorization
            raise TokenError(self._failed, self._not_before - now)
        if self._renewal is None:
            self._renewal = asyncio.get_running_loop().create_task(self._renew())
        if now < self._expires_at - MARGIN_SECONDS:
            return self._authorization
        # `wait` neither takes the renewal along when one send is given up, nor passes on that `close` ended it.
        await asyncio.wait((self._renewal,))
        now = self._clock()
        if now < self._expires_at - MARGIN_SECONDS:
            return self._authorization
        raise TokenError(self._failed or "token_expired", max(0.0, self._not_before - now))

    def refuse(self, refused: str) -> None:
        """FCM did not take `refused`: it is not used again."""
        if refused == self._authorization:
            self._expires_at = float("-inf")

    async def close(self) -> None:
        """Close the connections; a renewal under way is given up."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
        await self._http.aclose()

    async def _renew(self) -> None:
        """Never raises: what went wrong is kept for those who wait."""
        try:
            self._failed = await self._ask()
        except Exception as error:  # the network, the endpoint's answer: whatever it is, those who wait must not see it
            logger.warning("no access token from %s: %s", self._account.token_url, type(error).__name__)
            self._failed = "token_endpoint_failed"
        finally:
            self._renewal = None
        if not self._failed:
            self._backoff_seconds, self._not_before = 0.0, float("-inf")
            return
        self._backoff_seconds = min(max(BACKOFF_SECONDS_FIRST, self._backoff_seconds * 2), BACKOFF_SECONDS_MAX)
        self._not_before = self._clock() + self._backoff_seconds

    async def _ask(self) -> str:
        """One exchange; empty, or the reason of a refusal."""
        account, now = self._account, int(self._clock())
        claims = {
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": account.token_url,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
        }
        header = {"typ": "JWT", "kid": account.key_id} if account.key_id else {"typ": "JWT"}
        form = {"grant_type": GRANT_TYPE, "assertion": sign_rs256(account.key, header, claims)}
        response = await self._http.post(account.token_url, data=form)
        said = response.json()
        if response.status_code != 200:
            reason = str(said.get("error", f"http_{response.status_code}"))
            logger.error("Google refuses the service account: %s %s", reason, said.get("error_description", ""))
            return reason
        token, lifetime_seconds = said["access_token"], float(said["expires_in"])
        if not (isinstance(token, str) and token.isascii() and token.isprintable()):
            raise ValueError("not a token")
        # Counted from before the request, so that a slow answer makes it end early rather than late.
        self._authorization, self._expires_at = f"Bearer {token}", now + lifetime_seconds
        return ""
