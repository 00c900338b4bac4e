"""What an answer of the user service means, whether it is asked again, its URL, and its token."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from streams.connect import open_user_service
from streams.policies.profiles import Lookup, NotFound, Profile, Unavailable, Unusable
from streams.policies.user_service import AGAIN_MS_MAX, Answer, NoAnswer, lookup_of, retry_in_ms
from streams.profiles.address import check_url_template, shown_host, user_url
from streams.profiles.bearer import BearerToken, TokenFileError
from streams.setting_error import SettingsError
from streams.settings import load_settings
from streams.time_zones import zone_named

TEMPLATE = "https://users.example/v1/users/{user_id}?fields=name"


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_means_something(status: int) -> None:
    """Only 200 is a profile, only 404 and 410 are certain to be none; what may pass is tried again later."""
    found = lookup_of(Answer(status, b'{"name": "Ada"}'), zone_named)
    if status == 200:
        assert isinstance(found, Profile)
    elif status in (404, 410):
        assert isinstance(found, NotFound)
    elif status >= 500 or status in (401, 403, 408, 425, 429):
        assert isinstance(found, Unavailable)
        assert found.at_once == (status >= 500)
    else:
        assert isinstance(found, Unusable)
    assert isinstance(found, Profile) or str(status) in found.reason


@pytest.mark.parametrize(
    ("found", "attempt", "chance", "wait"),
    [
        (Unavailable("x", 0, True), 1, 0.999, 99),
        (Unavailable("x", 0, True), 2, 0.5, 100),
        (Unavailable("x", 0, True), 3, 0.5, None),
        (Unavailable("x", 1_950, True), 1, 0.0, 1_950),
        (Unavailable("x", 1_950, True), 1, 0.9, None),
        (Unavailable("x", 0, False), 1, 0.0, None),
        (NotFound("x"), 1, 0.0, None),
        (Unusable("x"), 1, 0.0, None),
    ],
)
def test_only_what_may_pass_soon_is_asked_again(found: Lookup, attempt: int, chance: float, wait: int | None) -> None:
    """Within two seconds, spread by chance, three times in all."""
    assert retry_in_ms(found, attempt, 3, chance) == wait


def test_nobody_is_left_alone_for_longer_than_a_minute() -> None:
    """A notification is of use for minutes; one who is too busy says so again."""
    found = lookup_of(Answer(503, b"", "", 3_600.0), zone_named)
    assert isinstance(found, Unavailable)
    assert found.again_ms == AGAIN_MS_MAX
    lost = lookup_of(NoAnswer("no connection", True), zone_named)
    assert isinstance(lost, Unavailable)
    assert (lost.again_ms, lost.at_once) == (0, True)


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable() or "\n" in text))
def test_a_user_id_stays_in_its_place(user_id: str) -> None:
    """Nothing of it becomes another segment, a query or a host, also after the client has read the URL."""
    url = URL(user_url(TEMPLATE, user_id), encoded=True)
    assert (url.host, url.raw_query_string) == ("users.example", "fields=name")
    assert url.raw_path.count("/") == 3
    assert unquote(url.raw_path.rpartition("/")[2]) == user_id


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("users.example/{user_id}", "starts with https://"),
        ("ftp://users.example/{user_id}", "starts with https://"),
        ("https:///{user_id}", "starts with https://"),
        ("https://[users/{user_id}", "must be a URL"),
        ("https://me:hunter2@users.example/{user_id}", "must not contain a user or a password"),
        ("https://users.example/{user_id}#hunter2", "fragment"),
        ("https://users.example/hunter2", "must have {user_id}"),
        ("https://{user_id}.example/", "must have {user_id} in its path"),
        ("https://{user_id}.example/{user_id}", "no other braces"),
        ("https://users.example/{user}/{user_id}", "no other braces"),
        ("https://users.example/hunter2 /{user_id}", "printable ASCII"),
        ("https://users.example:99999/{user_id}", "must be a URL"),
    ],
)
def test_a_template_that_cannot_be_is_refused_without_repeating_it(template: str, words: str) -> None:
    """What it holds may be secret."""
    with pytest.raises(ValueError) as caught:
        check_url_template(template)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_what_is_shown_of_a_template_is_its_host() -> None:
    """Neither path nor query."""
    assert check_url_template(TEMPLATE) == TEMPLATE
    assert shown_host(TEMPLATE) == "https://users.example"
    assert urlsplit(user_url("http://[::1]:80/?id={user_id}", "a&b=c")).query == "id=a%26b%3Dc"


@pytest.mark.parametrize("content", [b"", b" \n", b"two tokens", b"two\nlines", "Zoë".encode(), b"\xff", b"a\x00b"])
def test_a_file_without_a_token_is_refused_without_repeating_it(tmp_path: Path, content: bytes) -> None:
    """At the start; a token that is replaced by nonsense while the worker runs stays what it was."""
    file = tmp_path / "token"
    file.write_text("good")
    token = BearerToken(file)
    file.write_bytes(content)
    token.renew()
    assert token.header == "Bearer good"
    with pytest.raises(TokenFileError) as caught:
        BearerToken(file)
    assert not content.split() or content.split()[0].decode(errors="replace") not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"user_service_url": "http://a/{user_id}"}, "RINGONCE_USER_SERVICE_ALLOW_HTTP must be true"),
        ({"user_service_url": "https://a/"}, "RINGONCE_USER_SERVICE_URL: must have {user_id}"),
        (
            {"user_service_token_file": __file__},
            "RINGONCE_USER_SERVICE_URL: must be set, because RINGONCE_USER_SERVICE_T",
        ),
        ({"user_service_url": "https://a/{user_id}", "user_service_token_file": __file__}, "_TOKEN_FILE: "),
        ({"user_service_url": "https://a/{user_id}", "user_service_ca_file": __file__}, "_CA_FILE: "),
        ({"user_service_url": "https://a/{user_id}", "user_service_attempts": 6}, "_ATTEMPTS: must be at most 5, is 6"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(given: dict[str, object], line: str) -> None:
    """Before anything starts."""
    with pytest.raises(SettingsError) as caught:
        open_user_service(load_settings(**given))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_url_there_is_no_user_service() -> None:
    """Profiles then come from the topic alone."""
    assert open_user_service(load_settings()) is None
