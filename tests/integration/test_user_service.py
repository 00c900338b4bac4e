"""The client of a user service against a real HTTP server: what it asks, what it remembers, what becomes of faults."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.simulators.tls import make_authority
from streams.policies.breaking import BreakerRule
from streams.policies.profiles import NotFound, Profile, Unavailable, Unusable
from streams.profiles.user_service import UserService, UserServiceConfig
from tests.user_service_stand_in import Mood, UserServiceStandIn, user_service_stand_in

SECONDS_MAX = 20.0
Scenario = Callable[[UserService, UserServiceStandIn], Awaitable[None]]


def play(scenario: Scenario, users: dict[str, Any] | None = None, **changes: Any) -> None:
    """Play with a service that knows `ada`, and a client with these changes to its configuration."""

    async def run() -> None:
        async with user_service_stand_in(ada={"name": "Ada", "age": 36}, **(users or {})) as stand_in:
            config = replace(UserServiceConfig(stand_in.url, timeout_seconds=0.5), **changes)
            service = UserService(config, chance=lambda: 0.0)
            try:
                async with asyncio.timeout(SECONDS_MAX):
                    await scenario(service, stand_in)
            finally:
                await service.close()

    asyncio.run(run())


def test_a_profile_is_asked_for_once_and_remembered() -> None:
    """With the second request nobody is bothered; a user whom it does not know is remembered as well."""

    async def scenario(service: UserService, stand_in: UserServiceStandIn) -> None:
        assert service.known("ada") is None
        found = await service.fetch("ada")
        assert isinstance(found, Profile)
        assert found.values == {"name": "Ada", "age": "36"}
        assert service.known("ada") is found
        assert isinstance(await service.fetch("bob"), NotFound)
        assert isinstance(await service.fetch("bob"), NotFound)
        assert stand_in.asked == {"ada": 1, "bob": 1}

    play(scenario)


def test_what_is_remembered_runs_out() -> None:
    """With no time to remember, each lookup asks."""

    async def scenario(service: UserService, stand_in: UserServiceStandIn) -> None:
        for user in ("ada", "ada", "bob", "bob"):
            await service.fetch(user)
        assert stand_in.asked == {"ada": 2, "bob": 2}

    play(scenario, found_seconds=0.0, not_found_seconds=0.0)


def test_who_is_erased_is_not_remembered() -> None:
    """Nor is an answer that was under way by then; others are."""

    async def scenario(service: UserService, stand_in: UserServiceStandIn) -> None:
        await service.fetch("ada"), await service.fetch("bob")
        service.forget("ada")
        assert (service.known("ada"), type(service.known("bob"))) == (None, NotFound)
        stand_in.moods["ada"] = "slow"
        under_way = asyncio.create_task(service.fetch("ada"))
        await asyncio.sleep(0)  # it has begun
        service.forget("ada")
        assert isinstance(await under_way, Profile)
        assert stand_in.asked["ada"] == 2
        assert service.known("ada") is None

    play(scenario)


def test_one_request_for_a_user_at_a_time_and_few_for_all() -> None:
    """A hundred who ask for one user share a request; of fifty users four are asked for at once."""

    async def scenario(service: UserService, stand_in: UserServiceStandIn) -> None:
        stand_in.moods["ada"] = "slow"
        answers = await asyncio.gather(*(service.fetch("ada") for _ in range(100)))
        assert stand_in.asked["ada"] == 1
        assert all(answer is answers[0] for answer in answers)
        await asyncio.gather(*(service.fetch(f"user-{number}") for number in range(50)))
        assert stand_in.most_at_once <= 4

    play(scenario, requests_max=4)


@pytest.mark.parametrize("user", ["..", "a/b?c=d#e", "%2e%2e", "Zoë 🙂", "a\nb", "{user_id}", "x" * 256])
def test_a_user_id_stays_in_its_place(user: str) -> None:
    """Whatever it holds, one user is asked for and no other path."""

    async def scenario(service: UserService, stand_in: UserServiceStandIn) -> None:
        assert isinstance(await service.fetch(user), Profile)
        assert stand_in.asked == {user: 1}
        assert [path.count("/") for path in stand_in.paths] == [3]

    play(scenario, {user: {"name": "n"}})


@pytest.mark.parametrize(
    ("mood", "kind", "asked", "words"),
    [
        ("500", Unavailable, 3, "answers 500"),
        (
            "drops",
            Unavailable,
            6,
            "the request failed",
        ),  # each one is sent twice by aiohttp itself, as RFC 9112 9.3.1 has it
        ("hang", Unavailable, 1, "no answer within 0.5 s"),
        ("429", Unavailable, 3, "answers 429"),
        ("401", Unavailable, 1, "RINGONCE_USER_SERVICE_TOKEN_FILE"),
        ("garbage", Unusable, 1, "not JSON"),
        ("redirect", Unusable, 1, "redirects (302)"),
        ("huge", Unusable, 1, "more than 65,536 bytes"),
        ("gzip", Unusable, 1, "'gzip'"),
    ],
)
def test_each_fault_has_its_reason_and_only_what_may_pass_is_asked_again(
    mood: Mood, kind: type[Unavailable | Unusable], asked: int, words: str
) -> None:
    """A redirect is not followed, and nothing of what is of no use is read to its end."""

    async def scenario(service: UserService, stand_in: UserServiceStandIn) -> None:
        stand_in.mood = mood
        found = await service.fetch("ada")
        assert isinstance(found, kind)
        assert words in found.reason
        assert stand_in.asked == {"ada": asked}

    play(scenario)


def test_nobody_listens() -> None:
    """The reason says so, and nothing is remembered of the user."""

    async def scenario(service: UserService, stand_in: UserServiceStandIn) -> None:
        await stand_in.stop()
        found = await service.fetch("ada")
        assert isinstance(found, Unavailable)
        assert "no connection" in found.reason
        await stand_in.start()
        assert isinstance(await service.fetch("ada"), Profile)

    play(scenario)


def test_a_service_that_asks_for_a_long_wait_is_not_asked_again_at_once() -> None:
    """Its user waits elsewhere, for as long as it said."""

    async def scenario(service: UserService, stand_in: UserServiceStandIn) -> None:
        stand_in.mood, stand_in.retry_after = "429", "30"
        found = await service.fetch("ada")
        assert isinstance(found, Unavailable)
        assert (found.again_ms, stand_in.asked["ada"]) == (30_000, 1)

    play(scenario)


def test_a_service_that_is_down_is_left_alone_until_a_probe_finds_it_well(caplog: pytest.LogCaptureFixture) -> None:
    """Two failures open the breaker: no requests; after its time one goes out, and an answer lets all of them pass.

    |--500, 500--|open: nobody asks|probe: 500|open|probe: 200|closed
    """

    async def scenario(service: UserService, stand_in: UserServiceStandIn) -> None:
        stand_in.mood = "500"
        await service.fetch("ada")
        await service.fetch("bob")
        assert service.is_open
        found = service.known("carl")
        assert isinstance(found, Unavailable)
        assert found.again_ms > 0
        assert isinstance(await service.fetch("carl"), Unavailable)
        assert service.known("ada") is not None
        assert stand_in.asked == {"ada": 1, "bob": 1}
        await until(lambda: not service.is_open)
        assert service.is_failing, "until it has answered: the alert must not end whenever it may be asked again"
        await service.fetch("carl")
        assert service.is_open
        assert stand_in.asked["carl"] == 1
        stand_in.mood = "well"
        await until(lambda: not service.is_open)
        assert isinstance(await service.fetch("ada"), Profile)
        assert not service.is_failing
        assert service.known("dora") is None

    with caplog.at_level(logging.WARNING):
        play(scenario, attempts=1, breaker=BreakerRule(run_max=2, open_ms_first=200))
    assert [record.levelname for record in caplog.records if "streams.profiles" in record.name] == ["ERROR", "WARNING"]


async def until(ready: Callable[[], bool]) -> None:
    """Wait for time to pass in the client. Raises TimeoutError."""
    async with asyncio.timeout(SECONDS_MAX):
        while not ready():  # noqa: ASYNC110 (time that passes sends no signal)
            await asyncio.sleep(0.01)


def test_the_token_is_sent_renewed_and_never_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is replaced is read when the old token is refused; neither token nor URL is in the log."""
    file = tmp_path / "token"
    file.write_text("old-secret\n")

    async def scenario(service: UserService, stand_in: UserServiceStandIn) -> None:
        await service.fetch("ada")
        stand_in.mood = "401"
        file.write_text("new-secret")
        found = await service.fetch("bob")
        assert isinstance(found, Unavailable)
        stand_in.mood = "well"
        await service.fetch("bob")
        sent = [headers["Authorization"] for headers in stand_in.headers]
        assert sent == ["Bearer old-secret", "Bearer old-secret", "Bearer new-secret"]
        stand_in.mood = "500"
        for number in range(6):
            await service.fetch(f"user-{number}")

    with caplog.at_level(logging.INFO):
        play(scenario, token_file=file)
    assert "answers 500" in caplog.text
    assert not [word for word in ("secret", "/v1/users", "ada") if word in caplog.text]


def test_cookies_are_not_kept() -> None:
    """What was set with the answer for one user is not sent with the request for the next one."""

    async def scenario(service: UserService, stand_in: UserServiceStandIn) -> None:
        stand_in.mood = "cookie"
        await service.fetch("ada")
        await service.fetch("bob")
        assert "Cookie" not in stand_in.headers[-1]

    play(scenario)


def test_who_gives_up_takes_nobody_along() -> None:
    """One of two who wait is cancelled; the other one gets his answer."""

    async def scenario(service: UserService, stand_in: UserServiceStandIn) -> None:
        stand_in.mood = "slow"
        impatient = asyncio.create_task(service.fetch("ada"))
        patient = asyncio.create_task(service.fetch("ada"))
        await until(lambda: stand_in.under_way == 1)
        impatient.cancel()
        assert isinstance(await patient, Profile)
        assert stand_in.asked == {"ada": 1}

    play(scenario)


@pytest.mark.parametrize("trusted", [True, False])
def test_its_certificate_is_checked(tmp_path: Path, trusted: bool) -> None:
    """Against the CA of the settings; without it, no request is written, and the reason says why."""
    authority = make_authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.cert_file, authority.key_file)

    async def run() -> None:
        stand_in = UserServiceStandIn({"ada": {"name": "Ada"}}, tls=context)
        await stand_in.start()
        ca_file = authority.ca_file if trusted else None
        service = UserService(UserServiceConfig(stand_in.url, ca_file=ca_file), chance=lambda: 0.0)
        try:
            async with asyncio.timeout(SECONDS_MAX):
                found = await service.fetch("ada")
        finally:
            await service.close()
            await stand_in.stop()
        assert isinstance(found, Profile) == trusted
        assert trusted or (isinstance(found, Unavailable) and "CERTIFICATE_VERIFY_FAILED" in found.reason)
        assert bool(stand_in.asked) == trusted

    asyncio.run(run())
