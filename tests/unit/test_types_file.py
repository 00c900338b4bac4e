"""The types file: what each type gets, and one line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2.sandbox import SandboxedEnvironment

from streams.types_file import NotificationTypes, TypesFileError


def _load(tmp_path: Path, text: str) -> NotificationTypes:
    path = tmp_path / "types.toml"
    path.write_text(text, encoding="utf-8")
    return NotificationTypes.load(path)


def test_the_sample_types_load_and_render() -> None:
    """The built-in file is valid, and its templates read as they should."""
    types = NotificationTypes.load()
    assert set(types.policies) == {"order_ready", "price_alert", "chat_message", "daily_digest"}
    policy = types.policy("order_ready")
    assert policy is not None
    body = SandboxedEnvironment().from_string(policy.body).render(name="Ada", order="17")
    assert body == "Hi Ada, your order 17 is ready!"


def test_an_empty_file_is_an_hour_for_everything(tmp_path: Path) -> None:
    """Without any table each type has the documented defaults."""
    policy = _load(tmp_path, "").policy("anything")
    assert policy is not None
    assert (policy.window_seconds, policy.limit, policy.ttl_seconds, policy.on_unknown) == (3600, 1, 3600, "drop")


def test_a_type_overrides_the_defaults(tmp_path: Path) -> None:
    """A key of a type wins over [defaults], which wins over what is built in; the TTL follows the window."""
    types = _load(tmp_path, "[defaults]\nwindow_seconds = 600\nattempts = 2\n[types.a]\nwindow_seconds = 60\n")
    a, other = types.policy("a"), types.policy("b")
    assert a is not None
    assert other is not None
    assert (a.window_seconds, a.ttl_seconds, a.attempts) == (60, 60, 2)
    assert (other.window_seconds, other.ttl_seconds, other.attempts) == (600, 600, 2)


def test_a_ttl_of_nothing_is_kept(tmp_path: Path) -> None:
    """A TTL of 0, now or never, is not taken for an unset one."""
    policy = _load(tmp_path, "[types.a]\nttl_seconds = 0\n").policy("a")
    assert policy is not None
    assert policy.ttl_seconds == 0


def test_caps_are_one_table_or_several(tmp_path: Path) -> None:
    """`[cap]`, or `[[cap]]` for each; without any there is none."""
    one = _load(tmp_path, "[cap]\nlimit = 5\nwindow_seconds = 86400\n")
    assert [(cap.limit, cap.window_seconds) for cap in one.caps] == [(5, 86_400)]
    two = _load(tmp_path, "[[cap]]\nlimit = 5\nwindow_seconds = 86400\n[[cap]]\nlimit = 2\nwindow_seconds = 3600\n")
    assert [cap.limit for cap in two.caps] == [5, 2]
    assert _load(tmp_path, "").caps == ()


def test_unknown_types_can_be_refused(tmp_path: Path) -> None:
    """With allow_unknown = false only the named types have a policy."""
    types = _load(tmp_path, "allow_unknown = false\n[types.a]\n")
    assert types.policy("a") is not None
    assert types.policy("b") is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[types.a]\nwindow_seconds = 0", "[types.a] window_seconds: must be at least 1, is 0"),
        ("[defaults]\nwindow_seconds = 0\n[types.a]", "[defaults] window_seconds: must be at least 1, is 0"),
        ("[types.a]\nwindow_seconds = '60'", "[types.a] window_seconds: must be a whole number, is 60"),
        ("[types.a]\nwindow_seconds = 60.5", "[types.a] window_seconds: must be a whole number, is 60.5"),
        ("[types.a]\nlimit = 0", "[types.a] limit: must be at least 1, is 0"),
        ("[types.a]\nwindow = 60", "[types.a] window: no such key; did you mean window_seconds?"),
        ("[type.a]\n", "type: no such key; did you mean types?"),
        ("[types.a]\non_unknown = 'retry'", "[types.a] on_unknown: must be 'drop' or 'resend', is retry"),
        ("[types.a]\nurgent = 'yes'", "[types.a] urgent: must be true or false, is yes"),
        (
            "[types.a]\nwindow_seconds = 60\nttl_seconds = 61",
            "[types.a] ttl_seconds: must be at most the window (60), is 61",
        ),
        ("[types.a]\nbackoff_seconds_first = 90", "[types.a] backoff_seconds_first: must be at most backoff"),
        ("[types.a]\nbody = '{{ name'", "[types.a] body: is not a template: "),
        ("[types.a]\nquiet_hours = ['22-7']", "[types.a] quiet_hours: must be like 22:00-07:00 or mon-fri"),
        ("[types.a]\nquiet_hours = '22:00-07:00'", "[types.a] quiet_hours: "),
        (
            "[types.a]\nquiet_hours_zone = 'Europe/Berln'",
            "[types.a] quiet_hours_zone: there is no time zone 'Europe/Berln'; did you mean Europe/Berlin?",
        ),
        ("[types.a]\ntime_zone = 'user'", "[types.a] time_zone: there is no time zone 'user'"),
        ("[types.a]\nhold_seconds_max = 0", "[types.a] hold_seconds_max: must be at least 1, is 0"),
        ("[types]\na = 1", "[types] a: must be a table, is 1"),
        ("[types.a]\non_cap = 'drop'", "[types.a] on_cap: must be 'suppress' or 'defer', is drop"),
        ("[cap]\nlimit = 0\nwindow_seconds = 60", "[cap] limit: must be at least 1, is 0"),
        ("[cap]\nlimit = 2\nwindow_seconds = 604801", "[cap] window_seconds: must be at most 604800, is 604801"),
        ("[cap]\nlimit = 2", "[cap] window_seconds: must be given"),
        ("[cap]\nlimits = 2\nlimit = 2\nwindow_seconds = 60", "[cap] limits: no such key; did you mean limit?"),
        (
            "[[cap]]\nlimit = 2\nwindow_seconds = 60\n[[cap]]\nlimit = '3'\nwindow_seconds = 90",
            "[cap] limit: must be a whole",
        ),
        (
            "[[cap]]\nlimit = 2\nwindow_seconds = 60\n[[cap]]\nlimit = 3\nwindow_seconds = 60",
            "cap: two caps have the same window, 60 s: keep the one that is meant",
        ),
        ("cap = 5", "cap: must be a table, is 5"),
        ("[[cap]]\n" + "limit = 1\nwindow_seconds = 1\n[[cap]]\n" * 8 + "limit = 1\nwindow_seconds = 9", "cap: "),
        ("[types.'a b']", "[types]: type 'a b' is not 1 to 64 of"),
        ("[types.a\n", "is not TOML: "),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    """The line names the file, the table and the key, and says what must be and what is."""
    with pytest.raises(TypesFileError) as caught:
        _load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'types.toml'}: {line}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path that does not exist is part of the error."""
    with pytest.raises(TypesFileError, match=r"none\.toml: cannot be read: No such file"):
        NotificationTypes.load(tmp_path / "none.toml")
