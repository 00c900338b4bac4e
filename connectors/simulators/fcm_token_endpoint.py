"""Google's OAuth 2.0 token endpoint for service accounts: a signed assertion in, an access token out.

Sources: RFC 7523 (JWT bearer grants), RFC 6749 section 5; Google Identity, "Using OAuth 2.0 for server to server
applications".
"""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.simulators.exchange import Request, Response, json_response
from connectors.simulators.json_web_token import BadTokenError, verify
from connectors.simulators.provider import Clock, RefusedError

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
# Scopes that allow FCM to be used; a service account may ask for several, separated by spaces.
SCOPES = {SCOPE, "https://www.googleapis.com/auth/cloud-platform"}
# Google's own libraries name it as the audience, whatever the key file says of the endpoint.
GOOGLE_URL = "https://oauth2.googleapis.com/token"
ASSERTION_SECONDS_MAX = 3600
# Google tolerates clocks that differ a little; it names no number.
CLOCK_SKEW_SECONDS = 60
TIMEFRAME = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


class TokenEndpoint:
    """Issues access tokens, and knows which are good. `lifetime_seconds` can be set at any time."""

    path = "/token"

    def __init__(self, client_email: str, key_id: str, key: rsa.RSAPublicKey, clock_ms: Clock) -> None:
        self.lifetime_seconds = 3599
        self.url = ""
        self.issued = 0
        self._client_email = client_email
        self._key_id = key_id
        self._key = key
        self._clock_ms = clock_ms
        self._expires_at_ms: dict[str, int] = {}

    def is_good(self, access_token: str) -> bool:
        """We issued it, and it has not run out."""
        return self._clock_ms() < self._expires_at_ms.get(access_token, 0)

    def revoke(self, access_token: str) -> None:
        """Let it be good no more."""
        self._expires_at_ms.pop(access_token, None)

    def accept(self, request: Request) -> Response:
        """Exchange an assertion for an access token. Raises RefusedError."""
        if request.method != "POST":
            raise RefusedError("method_not_allowed", Response(405, ((b"allow", b"POST"),)))
        content_type = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
        if content_type != "application/x-www-form-urlencoded":
            raise _refuse("invalid_request", "Content-Type must be application/x-www-form-urlencoded")
        try:
            form = {name: values[-1] for name, values in parse_qs(request.body.decode("ascii")).items()}
        except ValueError:
            raise _refuse("invalid_request", "Bad Request") from None
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise _refuse("invalid_request", "Required parameter is missing: grant_type")
        if grant_type != GRANT_TYPE:
            raise _refuse("unsupported_grant_type", f"Invalid grant_type: {grant_type}")
        if "assertion" not in form:
            raise _refuse("invalid_request", "Required parameter is missing: assertion")
        self._check(form["assertion"])
        access_token = "ya29.c." + secrets.token_urlsafe(96)
        self._expires_at_ms[access_token] = self._clock_ms() + self.lifetime_seconds * 1000
        self.issued += 1
        body = {"access_token": access_token, "expires_in": self.lifetime_seconds, "token_type": "Bearer"}
        return json_response(200, body, (b"cache-control", b"no-cache, no-store, max-age=0, must-revalidate"))

    def _check(self, assertion: str) -> None:
        try:
            token = verify(assertion, self._key, "RS256")
        except BadTokenError:
            raise _refuse("invalid_grant", "Invalid JWT Signature.") from None
        if token.header.get("kid", self._key_id) != self._key_id:
            raise _refuse("invalid_grant", "Invalid JWT Signature.")
        claims = token.claims
        if claims.get("iss") != self._client_email:
            raise _refuse("invalid_grant", "Invalid grant: account not found")
        if claims.get("aud") not in (self.url, GOOGLE_URL):
            raise _refuse("invalid_grant", f"Invalid JWT: Failed audience check. The right audience is {self.url}")
        now = self._clock_ms() // 1000
        try:
            issued_at, expires_at = token.instant("iat"), token.instant("exp")
        except BadTokenError:
            raise _refuse("invalid_grant", TIMEFRAME) from None
        if (
            expires_at - issued_at > ASSERTION_SECONDS_MAX
            or expires_at < now - CLOCK_SKEW_SECONDS
            or issued_at > now + CLOCK_SKEW_SECONDS
        ):
            raise _refuse("invalid_grant", TIMEFRAME)
        scopes = claims.get("scope")
        if not isinstance(scopes, str) or not scopes.strip():
            raise _refuse("invalid_scope", "Empty or missing scope not allowed.")
        if not SCOPES.intersection(scopes.split()):
            raise _refuse("invalid_scope", "Invalid OAuth scope or ID token audience provided.")


def _refuse(error: str, description: str) -> RefusedError:
    return RefusedError(error, json_response(400, {"error": error, "error_description": description}))
