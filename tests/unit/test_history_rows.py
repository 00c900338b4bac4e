"""What the history makes of statuses, before any database: rows, states, texts, erasures, places, addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.poison import PoisonError
from streams.history.address import PostgresAddress, SqliteAddress, read_address
from streams.history.documents import page_document, story_document
from streams.history.erasing import erasure_of, without_erased
from streams.history.queries import HIGHEST, LOWEST, Page, Place, Search, lead_of, read_place, search_query
from streams.history.rows import INSTANT_MAX, StatusRow, restored, states_of, status_row
from streams.history.text import original, storable
from streams.settings import SettingsError, load_settings

STATUS: dict[str, Any] = {
    "notification_id": "n\0",
    "user_id": "u\\",
    "type": "t",
    "state": "SUPPRESSED",
    "reason": "r",
    "at": 5,
    "stage": "suppress",
    "origin_partition": 2,
    "origin_offset": 9,
    "attempt": 0,
    "provider": None,
    "device_id": None,
    "by_notification_id": "\0",
    "until": 7,
}


def row(offset: int, state: str, at: int, origin: tuple[int, int] = (0, 0), user: str = "u") -> StatusRow:
    """A status of an event."""
    return status_row(
        0,
        offset,
        {
            **STATUS,
            "state": state,
            "at": at,
            "user_id": user,
            "origin_partition": origin[0],
            "origin_offset": origin[1],
        },
    )


@given(st.text(st.sampled_from("\0\\0a"), max_size=12) | st.text())
def test_a_text_comes_back_and_has_no_nul_meanwhile(text: str) -> None:
    """Whatever it is; and no two texts are stored alike, which coming back shows."""
    assert "\0" not in storable(text)
    assert original(storable(text)) == text


def test_a_row_has_what_was_said() -> None:
    """Texts are stored without NUL and come back as they were."""
    found = status_row(3, 4, STATUS)
    assert (found.status_partition, found.status_offset, found.until_ms) == (3, 4, 7)
    assert found.notification_id == "n\\0"
    back = restored(found)
    assert (back.notification_id, back.user_id, back.by_notification_id) == ("n\0", "u\\", "\0")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", "x" * 257),
        ("user_id", "é" * 129),
        ("notification_id", "x" * 129),
        ("type", "x" * 65),
        ("at", -1),
        ("at", INSTANT_MAX + 1),
    ],
)
def test_what_no_stage_says_is_passed_over(field: str, value: Any) -> None:
    """A name that no index takes, an instant that is none: the record is at fault, and is named by its field."""
    with pytest.raises(PoisonError, match=field):
        status_row(0, 0, {**STATUS, field: value})
    longest = {"user_id": "é" * 128, "notification_id": "x" * 128, "type": "x" * 64, "at": INSTANT_MAX}
    assert status_row(0, 0, {**STATUS, field: longest[field]})


def test_an_event_stands_where_its_last_status_says() -> None:
    """Begun with the first, admitted with the last admission, and the answer of a device is no state."""
    rows = [
        row(0, "DEFERRED", 1),
        row(1, "ADMITTED", 2),
        row(2, "SENDING", 3),
        row(3, "ATTEMPTED", 4),
        row(4, "DEAD", 5, (-1, -1)),
        row(5, "SUPPRESSED", 6, (0, 1)),
    ]
    first, second = states_of(rows)
    assert (first.began_at_ms, first.admitted_at_ms, first.state, first.status_offset) == (1, 2, "SENDING", 2)
    assert (second.state, second.admitted_at_ms) == ("SUPPRESSED", None)


def test_an_erasure_passes_over_what_was_before_and_what_follows_from_it() -> None:
    """Statuses up to the instant, and later ones of the same events; those of nobody else."""
    rows = [
        row(0, "ADMITTED", 10),
        row(1, "ADMITTED", 30, (0, 1)),
        row(2, "ACCEPTED", 31, (0, 0)),
        row(3, "ADMITTED", 10, (0, 3), "v"),
        row(4, "ACCEPTED", 40, (7, 7)),
        row(5, "DEAD", 9, (-1, -1)),
        row(6, "DEAD", 90, (-1, -1)),
    ]
    kept, found = without_erased(rows, {"u": 29}, {(7, 7)})
    assert [each.status_offset for each in kept] == [1, 3, 6]
    assert found == {(0, 0)}


@pytest.mark.parametrize(
    ("requested", "produced", "before"),
    [(50, 60, 65), (60, 50, 65), (0, 60, 65), (10**15, 60, 105), (60, 10**15, 105)],
)
def test_an_erasure_is_of_the_later_of_its_instants_and_never_to_come(
    requested: int, produced: int, before: int
) -> None:
    """Asked at 100 with clocks that may differ by 5: who is far off erases nothing that is still to come."""
    assert erasure_of("u", requested, produced, 100, 5).said_before_ms == before


@pytest.mark.parametrize(
    ("search", "lead"),
    [
        (Search(), "time"),
        (Search(user_id="u", notification_id="n", state="DEAD"), "one"),
        (Search(user_id="u", type="t"), "user"),
        (Search(notification_id="n", type="t"), "id"),
        (Search(type="t", state="ACCEPTED"), "type"),
        (Search(type="t", state="DEAD"), "state"),
        (Search(state="ACCEPTED"), "state"),
        (Search(type="t"), "type"),
    ],
)
def test_a_search_begins_with_what_is_rarest(search: Search, lead: str) -> None:
    """A user before an id alone, an id before a state, a rare state before a type, a type before a common state."""
    assert lead_of(search) == lead


def test_a_search_has_both_ends() -> None:
    """Instants that are no instants make an empty stretch or a whole one, never a number too big for a database."""
    assert search_query(Search()).values == (*LOWEST, *HIGHEST, 101)
    values = search_query(Search(since=-(10**30), until=10**30, after=Place(5, 1, 2))).values
    assert values[3:6] == (5, 1, 2)
    assert all(abs(value) < 2**63 for value in values)


def test_a_page_says_where_the_next_one_begins() -> None:
    """What it says can be read, and nothing else can."""
    assert read_place(str(Place(5, 1, 2))) == Place(5, 1, 2)
    for text in ("", "1:2", "1:2:3:4", "a:b:c", "1:2:3\n", "1:-2:3", "9" * 30 + ":1:1"):
        with pytest.raises(ValueError, match="the page before"):
            read_place(text)


def test_documents_have_the_names_of_the_fields_alone() -> None:
    """Instants without their unit, as everywhere over HTTP, and nothing that only searches need."""
    rows = [row(0, "ADMITTED", 10)]
    page = page_document(Page(states_of(rows), Place(10, 0, 0)))
    assert page["after"] == "10:0:0"
    assert {"began_at", "admitted_at", "until"} <= set(page["notifications"][0])
    assert not any(name.endswith("_ms") or name == "subject" for name in page["notifications"][0])
    assert story_document(rows)["statuses"][0]["at"] == 10


def test_addresses_are_read_and_show_no_password() -> None:
    """A server or a file; what is shown, and what is said of a failure, has no password in it."""
    server = read_address("postgresql://me:p%40ss@db:5432/pushes?sslpassword=other")
    assert isinstance(server, PostgresAddress)
    assert str(server) == repr(server) == "PostgreSQL, db:5432/pushes"
    assert server.without_secrets("p@ss p%40ss other pushes") == "*** *** *** pushes"
    assert str(read_address("sqlite:///var/h.db")) == "SQLite, /var/h.db"
    assert read_address("sqlite:h%20i.db") == SqliteAddress(Path("h i.db"))


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@h/d", "secret", "postgresql://u:sec ret@[h/d", "sqlite://secret", "sqlite:"]
)
def test_a_setting_that_cannot_be_read_is_named_and_not_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """RINGONCE_HISTORY_URL may hold a password."""
    monkeypatch.setenv("RINGONCE_HISTORY_URL", url)
    with pytest.raises(SettingsError, match=r"RINGONCE_HISTORY_URL: (must|cannot)") as caught:
        load_settings()
    assert "sec" not in str(caught.value)
