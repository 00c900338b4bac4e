"""Lines of files as Kafka messages."""

from __future__ import annotations

import pytest

from schemas.codec import Codec
from streams.publish.instants import duration_ms, instant_ms
from streams.publish.messages import Encoder, Message, Refused, csv_lines, json_lines

NOW_MS = 1_800_000_000_000
_encoder = Encoder(Codec(), "notifications", lambda: NOW_MS)


def test_a_json_line_becomes_a_notification() -> None:
    """The key is the slot, and what the line does not say gets its default."""
    line = '{"notification_id":"n","user_id":"u:1","type":"t","send_at":"2027-01-15T09:00:00+01:00","data":{"a":"b"}}'
    (message,) = json_lines([line], _encoder.event)
    assert isinstance(message, Message)
    assert message.key == b"u:1:t"
    record = Codec().decode(message.value, {"Notification"}).record
    assert record["created_at"] == NOW_MS
    assert record["send_at"] == 1_800_000_000_000
    assert (record["title"], record["data"]) == (None, {"a": "b"})


def test_a_bad_line_is_refused_by_its_number_and_the_rest_goes_on() -> None:
    """Empty lines count but say nothing."""
    good = '{"user_id":"u","type":"t"}'
    read = list(json_lines([good, "", "{", "[]", '{"user_id":"u","type":"a b"}', good], _encoder.event))
    assert [line.line for line in read if isinstance(line, Refused)] == [3, 4, 5]
    assert sum(isinstance(line, Message) for line in read) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"user_id":"u"}', "type: must be given"),
        ('{"user_id":"u","type":"t","typ":1}', "typ: no such field"),
        ('{"user_id":"u","type":"t","send_at":"2027-01-01T00:00:00"}', "send_at: must have a time zone"),
        ('{"user_id":"u","type":"t","data":{"n":1}}', "data.n: must be a text, is 1"),
        (
            '{"user_id":"u","type":"t","send_at_local":"18:00"}',
            "send_at_local: '18:00' is not of the form 2026-12-24T18:00",
        ),
        ('{"user_id":"u","type":"t","send_at_local":"2027-02-30T18:00"}', "send_at_local: 2027-02-30T18:00 is no time"),
        ('{"user_id":"u","type":"t","time_zone":"Europe/Berln"}', "did you mean Europe/Berlin?"),
        (
            '{"user_id":"u","type":"t","send_at_local":"2027-02-03T18:00","send_at":1}',
            "send_at and send_at_local: give one of them",
        ),
        ('{"user_id":"","type":"t"}', "user_id: has 0 bytes"),
        ('{"user_id":"u","type":"t","notification_id":""}', "notification_id: has 0 bytes"),
        ('{"user_id":"u","type":"t","body":"' + "x" * 1_048_576 + '"}', "Kafka takes 1,048,588 at most"),
        ("[" * 100_000, ""),
    ],
)
def test_the_reason_is_a_sentence(line: str, reason: str) -> None:
    """It names the field and what must be."""
    (refused,) = json_lines([line], _encoder.event)
    assert isinstance(refused, Refused)
    assert reason in refused.reason


def test_csv_columns_are_fields_and_data() -> None:
    """An empty cell is a value not given; a short row is refused."""
    rows = ["user_id,type,title,data.name\n", "u,t,,Ada\n", "u,t\n", 'u,t,"two\nlines",\n']
    first, second, third = csv_lines(rows, _encoder.event)
    assert isinstance(first, Message)
    assert isinstance(third, Message)
    assert Codec().decode(first.value, {"Notification"}).record["data"] == {"name": "Ada"}
    assert Codec().decode(third.value, {"Notification"}).record["title"] == "two\nlines"
    assert isinstance(second, Refused)
    assert second.line == 3


def test_a_local_time_is_published_as_it_is() -> None:
    """From JSON and CSV alike; in which zone it is, with which clock, is for the workers."""
    (line,) = json_lines(
        ['{"user_id":"u","type":"t","send_at_local":"2027-03-28T02:30","time_zone":"Europe/Berlin"}'], _encoder.event
    )
    row, bare = csv_lines(
        ["user_id,type,send_at_local,time_zone\n", "u,t,2027-03-28T02:30,Europe/Berlin\n", "u,t,2027-03-28T02:30,\n"],
        _encoder.event,
    )
    for message, zone in ((line, "Europe/Berlin"), (row, "Europe/Berlin"), (bare, None)):
        assert isinstance(message, Message)
        record = Codec().decode(message.value, {"Notification"}).record
        assert (record["send_at_local"], record["time_zone"], record["send_at"]) == ("2027-03-28T02:30", zone, None)


def test_preferences_are_written_as_people_say_them() -> None:
    """Quiet hours as on a clock, with the days on which they start; `erase` removes all."""
    encoder = Encoder(Codec(), "preferences", lambda: NOW_MS)
    written, erased = json_lines(
        [
            '{"user_id":"u","time_zone":"Asia/Kathmandu","locale":"ne","opted_out_types":["t"],'
            '"opted_out_providers":["fcm"],"mute_until":"2027-01-15T09:00:00+01:00",'
            '"quiet_hours":["fri,sat 22:30-09:00"],"quiet_hours_by_type":{"t":["00:00-24:00"],"o":[]}}',
            '{"user_id":"u","erase":true}',
        ],
        encoder.preferences,
    )
    assert isinstance(written, Message) and written.key == b"u"
    assert Codec().decode(written.value, {"Preferences"}).record == {
        "user_id": "u",
        "time_zone": "Asia/Kathmandu",
        "locale": "ne",
        "opted_out": False,
        "opted_out_types": ["t"],
        "opted_out_providers": ["fcm"],
        "mute_until": 1_800_000_000_000,
        "quiet_hours": [{"start_minute": 1350, "end_minute": 540, "days": ["FRIDAY", "SATURDAY"]}],
        "quiet_hours_by_type": {"t": [{"start_minute": 0, "end_minute": 1440, "days": []}], "o": []},
    }
    assert erased == Message(b"u", None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"time_zone":"UTC"}', "user_id: must be given"),
        ('{"user_id":"","opted_out":true}', "user_id: has 0 bytes"),
        ('{"user_id":"u","time_zone":"Mars"}', "time_zone: there is no time zone 'Mars'"),
        ('{"user_id":"u","quiet_hours":["22-7"]}', "quiet_hours.0: must be like 22:00-07:00"),
        ('{"user_id":"u","quiet_hours":["08:00-08:00"]}', "quiet_hours.0: quiet hours start and end at minute 480"),
        (
            '{"user_id":"u","opted_out_providers":["pigeon"]}',
            "opted_out_providers.0: must be 'apns', 'fcm', 'webpush' or 'webhook'",
        ),
        ('{"user_id":"u","quiet_hours":' + str(["01:00-02:00"] * 101).replace("'", '"') + "}", "at most 100"),
        ('{"user_id":"u","quiet":1}', "quiet: no such field"),
    ],
)
def test_preferences_that_cannot_be_are_refused(line: str, reason: str) -> None:
    """Before they are on Kafka, where a worker would put them on the dead letters."""
    (refused,) = json_lines([line], Encoder(Codec(), "preferences", lambda: NOW_MS).preferences)
    assert isinstance(refused, Refused)
    assert reason in refused.reason


def test_profiles_are_written_as_people_say_them() -> None:
    """What is not given is not known, but for when it was said; `erase` removes all."""
    encoder = Encoder(Codec(), "profiles", lambda: NOW_MS)
    written, bare, erased = json_lines(
        [
            '{"user_id":"u","name":"Ada","locale":"de-AT","time_zone":"Europe/Vienna","fields":{"city":"Wien"},'
            '"updated_at":"2027-01-15T09:00:00+01:00"}',
            '{"user_id":"u"}',
            '{"user_id":"u","erase":true}',
        ],
        encoder.profile,
    )
    assert isinstance(written, Message) and written.key == b"u"
    assert Codec().decode(written.value, {"Profile"}).record == {
        "user_id": "u",
        "name": "Ada",
        "locale": "de-AT",
        "time_zone": "Europe/Vienna",
        "fields": {"city": "Wien"},
        "updated_at": 1_800_000_000_000,
    }
    assert isinstance(bare, Message)
    nothing: dict[str, object] = {"name": None, "locale": None, "time_zone": None, "fields": {}}
    assert Codec().decode(bare.value, {"Profile"}).record == {"user_id": "u", **nothing, "updated_at": NOW_MS}
    assert erased == Message(b"u", None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"name":"Ada"}', "user_id: must be given"),
        ('{"user_id":"","name":"Ada"}', "user_id: has 0 bytes"),
        ('{"user_id":"u","time_zone":"Mars"}', "time_zone: there is no time zone 'Mars'"),
        ('{"user_id":"u","locale":"?"}', "locale: '?' is no language tag"),
        ('{"user_id":"u","fields":{"age":7}}', "fields.age: must be a text, is 7"),
        ('{"user_id":"u","fields":{"x":"' + "y" * 17_000 + '"}}', "at most 16,384"),
        ('{"user_id":"u","city":"Wien"}', "city: no such field"),
    ],
)
def test_profiles_that_cannot_be_are_refused(line: str, reason: str) -> None:
    """As preferences are."""
    (refused,) = json_lines([line], Encoder(Codec(), "profiles", lambda: NOW_MS).profile)
    assert isinstance(refused, Refused)
    assert reason in refused.reason


def test_devices_replace_all_of_a_user_and_null_removes_them() -> None:
    """A list becomes a Devices record under the user's key, null a tombstone."""
    encoder = Encoder(Codec(), "devices", lambda: NOW_MS)
    devices, tombstone = json_lines(
        [
            '{"user_id":"u","devices":[{"device_id":"d","provider":"apns","address":"00ff"}]}',
            '{"user_id":"u","devices":null}',
        ],
        encoder.devices,
    )
    assert isinstance(devices, Message)
    (device,) = Codec().decode(devices.value, {"Devices"}).record["devices"]
    assert (device["provider"], device["registered_at"]) == ("APNS", NOW_MS)
    assert tombstone == Message(b"u", None)


@pytest.mark.parametrize(("text", "ms"), [("90s", 90_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("250ms", 250)])
def test_durations(text: str, ms: int) -> None:
    """A number and a unit, as often as wanted."""
    assert duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "10", "10 m", "-5m", "5x", "1e3s"])
def test_what_is_no_duration(text: str) -> None:
    """Anything else is an error that shows what was written."""
    with pytest.raises(ValueError, match="must be a duration"):
        duration_ms(text)


@pytest.mark.parametrize(
    "value",
    [
        *("2027-01-15", "tomorrow", "10000-01-01T00:00:00Z", 253_402_300_800_000, -1),
        *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),  # in UTC beyond what a datetime holds
    ],
)
def test_what_is_no_instant(value: str | int) -> None:
    """A day without a time zone, a word, and what lies outside of 1970 to 9999."""
    with pytest.raises(ValueError, match="must"):
        instant_ms(value)
