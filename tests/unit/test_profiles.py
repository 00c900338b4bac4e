"""Profiles: what is known, what is decided where nothing is, and what a record or an answer may hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.app import deliver_policies
from streams.policies.preferences import NO_PREFERENCES, Preferences
from streams.policies.profiles import (
    NO_PROFILE,
    NO_RECORD,
    PROFILE_BYTES_MAX,
    Delay,
    Lacking,
    Lookup,
    Profile,
    ProfilePolicy,
    Unavailable,
    Unusable,
    decide,
    read_document,
    wait_until,
    with_profile,
)
from streams.stages.directory_rows import check_profile, directory_row, read_profile
from streams.time_zones import zone_named
from streams.types_file import NotificationTypes
from tests.simulation.memory_log import LogRecord

CODEC = Codec()
ADMITTED, SEND_BY = 1_000_000, 1_300_000
VIENNA = zone_named("Europe/Vienna")
OPTIONAL, REQUIRED = ProfilePolicy(), ProfilePolicy("required", "dead")
DOWN, ODD = Unavailable("down", 2_000), Unusable("odd")
ADA = Profile({"name": "Ada"})


def record(**fields: Any) -> dict[str, Any]:
    """A record of `profiles` with all its fields."""
    known: dict[str, Any] = {"name": None, "locale": None, "time_zone": None, "fields": {}, "updated_at": None}
    return {"user_id": "u", **known, **fields}


def decided(found: Lookup, policy: ProfilePolicy, after_ms: int = 0) -> Profile | Delay | Lacking:
    """What is decided so long after the admission."""
    return decide(found, policy, ADMITTED + after_ms, ADMITTED, SEND_BY, 0.5)


@pytest.mark.parametrize(
    ("found", "policy", "after_ms", "decision"),
    [
        (ADA, REQUIRED, 0, ADA),
        (NO_RECORD, OPTIONAL, 0, NO_PROFILE),
        (NO_RECORD, REQUIRED, 0, Lacking(NO_RECORD.reason)),
        (NO_RECORD, ProfilePolicy("required", "fallback"), 0, Lacking(NO_RECORD.reason)),
        (ODD, OPTIONAL, 0, NO_PROFILE),
        (ODD, REQUIRED, 0, Lacking("odd")),
        (ODD, ProfilePolicy("required", "fallback"), 0, NO_PROFILE),
        (DOWN, OPTIONAL, 0, Delay(ADMITTED + 3_000, "down")),
        (DOWN, REQUIRED, 20_000, Delay(ADMITTED + 30_000, "down")),
        (DOWN, OPTIONAL, 29_999, Delay(ADMITTED + 30_000, "down")),
        (DOWN, OPTIONAL, 30_000, NO_PROFILE),
        (DOWN, REQUIRED, 30_000, Lacking("down")),
        (DOWN, ProfilePolicy("optional", "dead"), 30_000, Lacking("down")),
        (DOWN, ProfilePolicy(wait_ms=0), 0, NO_PROFILE),
    ],
)
def test_what_is_decided(
    found: Lookup, policy: ProfilePolicy, after_ms: int, decision: Profile | Delay | Lacking
) -> None:
    """None is no mistake unless one is required; only what may pass is waited for, and only until the wait is over.

    |--admitted--|--down: again in 2 to 4 s--|--again, the waits grow--|--30 s: by `on_missing`
    """
    assert decided(found, policy, after_ms) == decision


def test_half_of_the_time_is_left_for_the_push() -> None:
    """However long a type would wait."""
    assert wait_until(ProfilePolicy(wait_ms=10**9), ADMITTED, SEND_BY) == ADMITTED + 150_000
    assert decided(DOWN, ProfilePolicy(wait_ms=10**9), 150_000) is NO_PROFILE


def test_a_wait_always_ends_later_than_now() -> None:
    """Also where the service says that it may be asked at once."""
    for after_ms in (0, 1, 29_999):
        decision = decide(Unavailable("down"), OPTIONAL, ADMITTED + after_ms, ADMITTED, SEND_BY, 0.0)
        assert isinstance(decision, Delay)
        assert ADMITTED + after_ms < decision.until <= ADMITTED + 30_000


def test_the_preferences_win_over_the_profile() -> None:
    """Each field by itself; where the profile adds nothing, the preferences stay what they are."""
    profile = Profile({}, "de-AT", VIENNA)
    assert with_profile(NO_PREFERENCES, profile) == Preferences(zone=VIENNA, locale="de-AT")
    assert with_profile(Preferences(locale="fr"), profile) == Preferences(zone=VIENNA, locale="fr")
    assert with_profile(NO_PREFERENCES, ADA) is NO_PREFERENCES
    own = Preferences(zone=zone_named("Asia/Tokyo"), locale="ja")
    assert with_profile(own, profile) is own


def test_a_row_is_read_as_it_was_written() -> None:
    """Every field; a zone that is not known any more is as if none were named."""
    known = record(name="Ada", locale="de-AT", time_zone="Europe/Vienna", fields={"city": "Wien", "name": "?"})
    profile = read_profile(CODEC.encode("Profile", known))
    values = {"city": "Wien", "name": "Ada", "locale": "de-AT", "time_zone": "Europe/Vienna"}
    assert (dict(profile.values), profile.locale, profile.zone) == (values, "de-AT", VIENNA)
    assert read_profile(CODEC.encode("Profile", record(time_zone="Gone/City"))).zone is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"time_zone": "Mars/Olympus"}, "time_zone: there is no zone 'Mars/Olympus'"),
        ({"locale": "german, please"}, "locale: 'german, please' is no language tag"),
        ({"locale": ""}, "locale"),
        ({"fields": {"": "x"}}, "the name of a field has 1 to 64 bytes, not 0"),
        ({"fields": {"x" * 65: "x"}}, "the name of a field has 1 to 64 bytes, not 65"),
        ({"fields": {"x": "y" * PROFILE_BYTES_MAX}}, "16,385 bytes together, at most 16,384"),
    ],
)
def test_a_record_that_cannot_be_is_refused_when_it_arrives(fields: dict[str, Any], words: str) -> None:
    """With the field by its name."""
    with pytest.raises(PoisonError) as caught:
        check_profile(record(**fields))
    assert caught.value.code == "INVALID_FIELD"
    assert words in caught.value.reason


def test_a_record_of_another_user_is_refused() -> None:
    """Its key decides the partition, and so whose it is."""
    value = CODEC.encode("Profile", record(name="Ada"))
    assert directory_row(LogRecord(0, 0, b"u", value, []), CODEC, "Profile") == value
    assert directory_row(LogRecord(0, 0, b"u", None, []), CODEC, "Profile") is None
    for key, code in ((b"v", "KEY_MISMATCH"), (None, "NO_KEY")):
        with pytest.raises(PoisonError) as caught:
            directory_row(LogRecord(0, 0, key, value, []), CODEC, "Profile")
        assert caught.value.code == code


def test_a_document_is_texts_and_numbers_as_they_are_written() -> None:
    """Null is nothing; 1.10 is not 1.1, and a number of any size is a text."""
    body = b'{"name": "Zo\xc3\xab", "points": 1.10, "big": 1' + b"0" * 5_000 + b', "none": null, "locale": "de"}'
    profile = read_document(body, zone_named)
    assert dict(profile.values) == {"name": "Zoë", "points": "1.10", "big": "1" + "0" * 5_000, "locale": "de"}
    assert profile.locale == "de"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 60_000, "not JSON (RecursionError)"),
        (b'{"points": NaN}', "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"Ada"', "not a JSON object"),
        (b'{"tags": ["a"]}', "'tags' is a list, not a text or a number"),
        (b'{"address": {"city": "Wien"}}', "'address' is an object"),
        (b'{"active": true}', "'active' is true or false"),
        (b'{"time_zone": "Mars/Olympus"}', "time_zone: there is no zone"),
        (b'{"locale": 7}', "locale: '7' is no language tag"),
        (b'{"name": "\\ud800"}', "'name': is not UTF-8"),
        (json.dumps({"name": "x" * PROFILE_BYTES_MAX}).encode(), "bytes together"),
    ],
)
def test_a_document_that_is_of_no_use_says_why(body: bytes, words: str) -> None:
    """In a sentence that names the field."""
    with pytest.raises(ValueError) as caught:
        read_document(body, zone_named)
    assert words in str(caught.value)


def test_the_types_file_says_what_a_type_needs(tmp_path: Path) -> None:
    """A type that requires a profile is not sent without one, unless it says so."""
    path = tmp_path / "types.toml"
    path.write_text(
        "[types.none]\nprofile = 'none'\n[types.must]\nprofile = 'required'\nprofile_wait_seconds = 1.5\n"
        "[types.may]\nprofile = 'required'\non_missing_profile = 'fallback'\n",
        encoding="utf-8",
    )
    policies = deliver_policies(NotificationTypes.load(path))
    found = [policy.profile for name in ("other", "none", "must", "may") if (policy := policies(name)) is not None]
    assert found == [
        ProfilePolicy("optional", "fallback", 30_000),
        ProfilePolicy("none", "fallback", 30_000),
        ProfilePolicy("required", "dead", 1_500),
        ProfilePolicy("required", "fallback", 30_000),
    ]
