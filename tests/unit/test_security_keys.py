"""API keys: what is good for something, what is kept of it, and the file that holds them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.setting_error import SettingsError
from streams.settings import load_settings
from streams.web.security.cluster_secret import cluster_secret
from streams.web.security.keys import KeyBook, KeyRefusedError, mark_of, new_key, state_of
from streams.web.security.keys_file import LOOK_SECONDS, KeysFile, KeysFileError, change_keys, read_keys
from streams.web.security.security import open_security

NOW = 1_700_000_000_000
KEY, TOKEN = new_key("ops", ["read", "send"], NOW)
BOOK = KeyBook([KEY])


def test_a_key_is_known_by_its_look_and_holds_256_bits() -> None:
    """A scanner for secrets finds it; two are never the same; nothing that is kept gives it away."""
    assert re.fullmatch(r"ro_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", TOKEN)
    assert len({new_key("ops", ["read"], NOW)[1] for _ in range(100)}) == 100
    secret = TOKEN.split("_", 2)[2]
    assert secret not in KEY.model_dump_json()
    assert BOOK.find(TOKEN, NOW) is KEY


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_a_key_with_any_other_character_is_none(at: int, character: str) -> None:
    """Wherever it is changed."""
    changed = TOKEN[:at] + character + TOKEN[at + 1 :]
    if changed != TOKEN:
        with pytest.raises(KeyRefusedError, match="there is no such API key"):
            BOOK.find(changed, NOW)


@given(st.text(max_size=400))
def test_any_text_is_refused_with_the_same_words(text: str) -> None:
    """Nobody learns whether an id is somebody's."""
    with pytest.raises(KeyRefusedError) as caught:
        BOOK.find(text, NOW)
    assert str(caught.value) == "there is no such API key"


def test_the_hash_is_compared_for_an_id_that_nobody_has_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work for both, by a comparison whose time tells nothing."""
    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr("streams.web.security.keys.hmac.compare_digest", compare)
    for token in (TOKEN, "ro_000000000000_x", "nonsense"):
        with pytest.raises(KeyRefusedError):
            BOOK.find(token, NOW)
    assert [len(each) for pair in compared for each in pair] == [64] * 6


def test_a_key_ends() -> None:
    """At its instant, or when it is revoked; its owner is told which."""
    expiring, token = new_key("ops", ["read"], NOW, NOW + 1000)
    assert KeyBook([expiring]).find(token, NOW + 999) is expiring
    assert state_of(expiring, NOW + 1000) == "expired"
    with pytest.raises(KeyRefusedError, match="has expired"):
        KeyBook([expiring]).find(token, NOW + 1000)
    revoked = expiring.model_copy(update={"revoked_at": NOW})
    assert state_of(revoked, NOW) == "revoked"
    with pytest.raises(KeyRefusedError, match="was revoked"):
        KeyBook([revoked]).find(token, NOW)
    assert KeyBook([revoked]).of_session(revoked.id, mark_of(revoked), NOW) is None
    assert KeyBook([expiring]).of_session(expiring.id, "another mark", NOW) is None
    assert KeyBook([expiring]).of_session(expiring.id, mark_of(expiring), NOW) is expiring


def test_the_file_is_for_its_owner_and_holds_no_key(tmp_path: Path) -> None:
    """Mode 600, a hash, and no trace of the secret."""
    path = tmp_path / "keys.json"
    change_keys(path, lambda keys: (*keys, KEY))
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_keys(path) == (KEY,)
    assert TOKEN.split("_", 2)[2] not in path.read_text()
    assert [each.name for each in tmp_path.iterdir() if not each.name.endswith(".lock")] == ["keys.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "the whole is not as"),
        ('{"version": 2, "keys": []}', "is of version 2"),
        ('{"version": 1, "keys": [{"id": "hunter2"}]}', "keys.0.id is not as"),
        ('{"version": 1, "keys": [], "more": 1}', "more is not as"),
    ],
)
def test_a_broken_file_is_refused_without_showing_it(tmp_path: Path, text: str, said: str) -> None:
    """The sentence names the file and the place, and nothing that stands there."""
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(KeysFileError, match=re.escape(said)) as caught:
        read_keys(path)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    """Whoever could write to it, could make himself a key."""
    path = tmp_path / "keys.json"
    change_keys(path, lambda keys: (KEY,))
    for mode in (0o620, 0o602):
        path.chmod(mode)
        with pytest.raises(KeysFileError, match="chmod 600"):
            read_keys(path)
    path.chmod(0o644)
    assert read_keys(path) == (KEY,)


def test_two_keys_of_one_id_are_refused(tmp_path: Path) -> None:
    """It would not be clear whose it is."""
    path = tmp_path / "keys.json"
    change_keys(path, lambda keys: (KEY, KEY))
    with pytest.raises(KeysFileError, match="the same id"):
        read_keys(path)


class Clock:
    """Stands still unless it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """Within LOOK_SECONDS; one that cannot be read lets nobody in until it can be read again."""
    path, clock = tmp_path / "keys.json", Clock()
    change_keys(path, lambda keys: (KEY,))
    file = KeysFile(path, clock)
    assert file.book.find(TOKEN, NOW) == KEY
    change_keys(path, lambda keys: (KEY.model_copy(update={"revoked_at": NOW}),))
    assert file.book.find(TOKEN, NOW) == KEY
    clock.now += LOOK_SECONDS
    with pytest.raises(KeyRefusedError, match="was revoked"):
        file.book.find(TOKEN, NOW)
    path.write_text("{")
    clock.now += LOOK_SECONDS
    with pytest.raises(KeysFileError):
        _ = file.book
    path.unlink()
    clock.now += LOOK_SECONDS
    with pytest.raises(KeysFileError):
        _ = file.book
    change_keys(path, lambda keys: (KEY,))
    clock.now += LOOK_SECONDS
    assert file.book.find(TOKEN, NOW) == KEY


def test_another_file_of_the_same_size_is_read(tmp_path: Path) -> None:
    """A write is seen by inode, time and size together: each change makes a new file."""
    path, clock = tmp_path / "keys.json", Clock()
    change_keys(path, lambda keys: (KEY,))
    file = KeysFile(path, clock)
    assert len(file.book) == 1
    other = new_key("oth", ["read", "send"], NOW)[0]
    change_keys(path, lambda keys: (other,))
    clock.now += LOOK_SECONDS
    with pytest.raises(KeyRefusedError):
        file.book.find(TOKEN, NOW)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "worker.example"])
def test_a_worker_without_keys_does_not_leave_loopback(tmp_path: Path, host: str) -> None:
    """It says what to do; only a setting of its own opens it."""
    with pytest.raises(SettingsError, match=r"RINGONCE_WEB_HOST: .* RINGONCE_API_KEYS_FILE"):
        open_security(load_settings(web_host=host))
    assert open_security(load_settings(web_host=host, api={"open": True})).keys is None
    with pytest.raises(SettingsError, match=r"RINGONCE_API_KEYS_FILE: .* there is no such file"):
        open_security(load_settings(web_host=host, api={"keys_file": tmp_path / "none", "open": True}))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.10"])
def test_on_loopback_nothing_is_asked_for(host: str) -> None:
    """As in the demo."""
    assert open_security(load_settings(web_host=host)).keys is None


def test_an_empty_file_of_keys_is_a_mistake(tmp_path: Path) -> None:
    """Nobody could ever come in."""
    change_keys(tmp_path / "keys.json", lambda keys: ())
    with pytest.raises(SettingsError, match="holds no key"):
        open_security(load_settings(api={"keys_file": tmp_path / "keys.json"}))


def test_workers_of_one_machine_share_a_secret_that_none_of_them_was_told(tmp_path: Path) -> None:
    """Made once, for its owner only; one of the settings wins; no keys, no secret."""
    settings = load_settings(api={"keys_file": tmp_path / "keys.json"})
    first = cluster_secret(settings)
    assert first is not None
    assert len(first) == 64
    assert cluster_secret(settings) == first
    (made,) = tmp_path.iterdir()
    assert made.stat().st_mode & 0o777 == 0o600
    made.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        cluster_secret(settings)
    told = load_settings(api={"keys_file": tmp_path / "keys.json"}, cluster_secret="x" * 32)
    assert cluster_secret(told) == b"x" * 32
    assert cluster_secret(load_settings()) is None


def test_a_secret_that_cannot_be_made_must_be_told(tmp_path: Path) -> None:
    """The sentence names the setting."""
    settings = load_settings(api={"keys_file": tmp_path / "none" / "keys.json"})
    with pytest.raises(SettingsError, match="RINGONCE_CLUSTER_SECRET: must be set, the same for all workers"):
        cluster_secret(settings)


def test_a_short_secret_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that names the setting."""
    monkeypatch.setenv("RINGONCE_CLUSTER_SECRET", "hunter2")
    with pytest.raises(SettingsError, match="RINGONCE_CLUSTER_SECRET: ") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_what_is_written_is_json_of_version_1(tmp_path: Path) -> None:
    """Instants in milliseconds, scopes by name."""
    path = tmp_path / "keys.json"
    change_keys(path, lambda keys: (KEY,))
    document = json.loads(path.read_text())
    assert document["version"] == 1
    assert sorted(document["keys"][0]["scopes"]) == ["read", "send"]
