"""The token endpoint gives access tokens for right assertions, and refuses others in the words of RFC 6749."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.unit.simulator_bench import GRANT_TYPE, SCOPE, Bench, Call


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One set of simulators for the module; no test depends on what another left."""
    with Bench(tmp_path_factory.mktemp("tokens")) as started:
        yield started


@pytest.mark.parametrize("http2", [True, False])
def test_exchanges_an_assertion(bench: Bench, http2: bool) -> None:
    """A right assertion is exchanged for a bearer token, over both versions of HTTP."""
    response = bench.send_one(bench.token_call(), http2=http2)
    assert response.status_code == 200
    body = response.json()
    assert (body["token_type"], body["expires_in"], len(body)) == ("Bearer", 3599, 3)
    assert bench.sims.fcm.tokens.is_good(body["access_token"])


def test_the_service_account_file_has_the_fields_that_google_gives(bench: Bench) -> None:
    """The key file can be read by any client library."""
    account = bench.service_account
    assert account["type"] == "service_account"
    assert account["project_id"] == bench.sims.fcm.project_id
    assert account["token_uri"] == bench.sims.fcm.token_url
    assert account["private_key"].startswith("-----BEGIN PRIVATE KEY-----")
    assert {"private_key_id", "client_email", "client_id", "auth_uri"} <= account.keys()


def claims(name: str, value: str | None) -> Callable[[Bench], Call]:
    """An assertion with another value of one claim."""
    return lambda bench: bench.token_call(bench.assertion(key=None, algorithm="RS256", **{name: value}))


def in_seconds(issued: int, expires: int) -> Callable[[Bench], Call]:
    """An assertion for another time, relative to now."""
    return lambda bench: bench.token_call(
        bench.assertion(iat=bench.clock.seconds + issued, exp=bench.clock.seconds + expires)
    )


TIMEFRAME = "Invalid JWT: Token must be a short-lived token (60 minutes)"
REFUSALS: dict[str, tuple[Callable[[Bench], Call], str, str]] = {
    "other grant": (
        lambda bench: bench.token_call(grant_type="password"),
        "unsupported_grant_type",
        "Invalid grant_type: password",
    ),
    "no grant": (lambda bench: replace(bench.token_call(), body=b"assertion=x"), "invalid_request", "Required"),
    "no assertion": (
        lambda bench: replace(bench.token_call(), body=f"grant_type={GRANT_TYPE}".encode()),
        "invalid_request",
        "Required",
    ),
    "content type": (
        lambda bench: bench.token_call().with_header("content-type", "application/json"),
        "invalid_request",
        "Content-Type",
    ),
    "not a token": (lambda bench: bench.token_call("abc"), "invalid_grant", "Invalid JWT Signature."),
    "other signer": (
        lambda bench: bench.token_call(bench.assertion(key=rsa.generate_private_key(65537, 2048))),
        "invalid_grant",
        "Invalid JWT Signature.",
    ),
    "other algorithm": (
        lambda bench: bench.token_call(bench.assertion(key="k" * 32, algorithm="HS256")),
        "invalid_grant",
        "Invalid JWT Signature.",
    ),
    "other account": (claims("iss", "x@example.com"), "invalid_grant", "Invalid grant: account not found"),
    "other audience": (claims("aud", "https://example.com"), "invalid_grant", "Invalid JWT: Failed audience check"),
    "no scope": (claims("scope", None), "invalid_scope", "Empty or missing scope"),
    "other scope": (claims("scope", SCOPE + ".read"), "invalid_scope", "Invalid OAuth scope"),
    "no exp": (claims("exp", None), "invalid_grant", TIMEFRAME),
    "no iat": (claims("iat", None), "invalid_grant", TIMEFRAME),
    "longer than an hour": (in_seconds(0, 3601), "invalid_grant", TIMEFRAME),
    "run out": (in_seconds(-3600, -61), "invalid_grant", TIMEFRAME),
    "from the future": (in_seconds(61, 3600), "invalid_grant", TIMEFRAME),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refuses(bench: Bench, name: str) -> None:
    """Each mistake has its error and description, and gives no token."""
    make, error, description = REFUSALS[name]
    issued = bench.sims.fcm.tokens.issued
    response = bench.send_one(make(bench))
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert response.json()["error_description"].startswith(description)
    assert bench.sims.fcm.tokens.issued == issued


def test_only_post_is_allowed(bench: Bench) -> None:
    """A GET is answered 405."""
    assert bench.send_one(Call(bench.sims.fcm.token_url, [], method="GET")).status_code == 405
