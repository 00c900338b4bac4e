"""The history in each database: what is written once, fenced, erased, pruned, refused and waited for."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from streams.history.address import PostgresAddress, SqliteAddress
from streams.history.database import (
    Batch,
    DatabaseDownError,
    DatabaseRefusesError,
    FencedError,
    NoHistoryError,
    Outdated,
    Part,
    Source,
    open_database,
)
from streams.history.erasing import Erasure
from streams.history.postgres import PostgresDatabase
from streams.history.postgres_connection import run
from streams.history.queries import Search
from streams.history.sqlite import SqliteDatabase
from tests.integration.history_store import SOURCE, Store, said, writer
from tests.postgres_server import PASSWORD, QUOTED_PASSWORD, PostgresServer

SECONDS_MAX = 30.0
EVERYTHING = Search(limit=1_000)
NAMES = [
    "alice",
    "a\0b",
    "\\0",
    "\\\\0\0\\",
    "Zoë 🦊 ‮abc",
    "x'; DROP TABLE ringonce_statuses; --",
    "%_?",
    " ",
    "\ufeff\u0301",
    "𐏿" * 64,
]


def test_it_is_made_once_and_known_again(store: Store) -> None:
    """The first writer gives it an id; who opens it later, also to read, finds the same."""
    made = store.made().open(SOURCE)
    assert store.made().open(SOURCE) == made
    assert store.made(read_only=True).open(Source("statuses", 4)) == made


def test_many_may_make_it_at_once(store: Store) -> None:
    """Eight processes that start together find one history."""
    databases = [store.made() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda database: database.open(SOURCE), databases))) == 1


def test_a_reader_makes_nothing(store: Store) -> None:
    """Where nobody has ever kept a history, that is said; and a reader cannot write."""
    with pytest.raises(NoHistoryError, match="`ringonce history` makes it"):
        store.made(read_only=True).open(SOURCE)
    store.open()
    reader = store.open(read_only=True)
    with pytest.raises((DatabaseDownError, DatabaseRefusesError), match=r"read-?only"):
        reader.claim([Part("statuses", 0)], "me")


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (Source("other.statuses", 4, "cluster-1"), "not of other.statuses"),
        (Source("statuses", 4, "cluster-2"), "cluster-2"),
    ],
)
def test_the_history_of_something_else_is_refused(store: Store, other: Source, word: str) -> None:
    """Two installations do not write into one another."""
    store.open()
    with pytest.raises(DatabaseRefusesError, match=word):
        store.made().open(other)


def test_tables_of_another_edition_are_refused(store: Store) -> None:
    """What another release made is not written by this one."""
    store.open()
    execute(store, "UPDATE ringonce_history SET value = '0' WHERE name = 'edition'")
    with pytest.raises(DatabaseRefusesError, match="edition 0, this release writes edition 1"):
        store.made().open(SOURCE)


def execute(store: Store, statement: str) -> list[Any]:
    """Run a statement beside the product."""
    if isinstance(store.address, SqliteAddress):
        with sqlite3.connect(store.address.path) as file:
            return file.execute(statement).fetchall()
    with psycopg.connect(store.address.url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_a_status_that_is_read_again_changes_nothing(store: Store) -> None:
    """Each is there once, and an older one does not bring an older state back."""
    database = store.open()
    me = writer(database)
    admitted = said(0, "u", "ADMITTED", at=10, origin=(2, 7))
    sending = said(1, "u", "SENDING", at=11, origin=(2, 7))
    accepted = said(2, "u", "ACCEPTED", at=12, origin=(2, 7))
    for rows, expected in (
        ([admitted, sending], "SENDING"),
        ([admitted], "SENDING"),
        ([accepted], "ACCEPTED"),
        ([sending], "ACCEPTED"),
        ([admitted, sending, accepted], "ACCEPTED"),
    ):
        me.write(rows)
        assert [row.state for row in database.search(EVERYTHING).found] == [expected]
    assert [row.state for row in database.story("u", "t", "n")] == ["ADMITTED", "SENDING", "ACCEPTED"]
    (state,) = database.search(EVERYTHING).found
    assert (state.state, state.began_at_ms, state.admitted_at_ms, state.at_ms) == ("ACCEPTED", 10, 10, 12)


def test_the_answer_of_a_device_is_told_and_is_no_state(store: Store) -> None:
    """ATTEMPTED stands in the story, and what is known of no event in no search."""
    database = store.open()
    rows = [
        said(0, "u", "SENDING", origin=(1, 1)),
        said(1, "u", "ATTEMPTED", origin=(1, 1)),
        said(2, "", "DEAD", origin=(-1, -1), id=""),
    ]
    writer(database).write(rows)
    assert [row.state for row in database.search(EVERYTHING).found] == ["SENDING"]
    assert [row.state for row in database.story("u", "t", "n")] == ["SENDING", "ATTEMPTED"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_comes_back_as_it_was(store: Store, name: str) -> None:
    """Whatever stands in ids is found by itself, and by nothing that looks like it."""
    database = store.open()
    others = [other for other in NAMES if other != name]
    rows = [said(0, name, "ADMITTED", id=name)]
    rows += [said(number, other, "ADMITTED", id=other) for number, other in enumerate(others, 1)]
    writer(database).write(rows)
    for search in (Search(user_id=name), Search(notification_id=name), Search(user_id=name, notification_id=name)):
        (found,) = database.search(search).found
        assert (found.user_id, found.notification_id) == (name, name)
    (status,) = database.story(name, "t", name)
    assert (status.user_id, status.notification_id) == (name, name)


def test_who_lost_a_partition_writes_nothing(store: Store) -> None:
    """A claim ends the one before it, for all of a batch; `resume` tells what still holds and how far it is."""
    old, new = store.open(), store.open()
    paused = writer(old, (0, 1))
    paused.write([said(0, "u", "ADMITTED"), said(5, "u", "ADMITTED", partition=1)])
    taken = writer(new, (1,), "another")
    assert taken.claims[1].next_offset == 6
    with pytest.raises(FencedError):
        paused.write([said(1, "u", "ACCEPTED", origin=(0, 0)), said(6, "u", "ADMITTED", partition=1)])
    with pytest.raises(FencedError):
        old.prune(paused.claims[1], Outdated(2_000, 0, 100))
    with pytest.raises(FencedError):
        old.erase(Erasure("u", 9_999), paused.claims[1])
    assert [row.state for row in new.search(EVERYTHING).found] == ["ADMITTED", "ADMITTED"]
    held = old.resume(list(paused.claims.values()))
    assert [(claim.part.number, claim.next_offset) for claim in held] == [(0, 1)]
    taken.write([said(6, "u", "ADMITTED", partition=1)])
    assert len(new.search(EVERYTHING).found) == 3


def test_an_erased_user_does_not_come_back(store: Store) -> None:
    """What was said before goes, also where it is read later, and what is said later of events of before.

    said at   10        20       30  erased up to 30   40          50
              event 0   event 1  event 2, read later   event 1     event 9, of a user who has returned
    """
    database = store.open()
    me = writer(database)
    me.write(
        [
            said(0, "u", "ACCEPTED", at=10),
            said(1, "u", "ADMITTED", at=20),
            said(2, "v", "ADMITTED", at=20),
            said(3, "u", "DEAD", at=25, origin=(-1, -1)),
        ]
    )
    removed = 0
    while some := database.erase(Erasure("u", 30), None):
        removed += some
    assert removed == 3
    late = [said(0, "u", "ADMITTED", at=30, partition=1), said(1, "u", "SENDING", at=45, origin=(1, 0), partition=1)]
    again = [said(4, "u", "CANCELLED", at=40, origin=(0, 1)), said(9, "u", "ADMITTED", at=50, id="new")]
    assert me.write(late) == 2
    assert me.write([said(2, "u", "ACCEPTED", at=60, origin=(1, 0), partition=1)]) == 1
    assert me.write([*again, said(10, "v", "ACCEPTED", at=50, origin=(0, 2))]) == 1
    found = database.search(EVERYTHING).found
    assert [(row.user_id, row.notification_id, row.state) for row in found] == [
        ("u", "new", "ADMITTED"),
        ("v", "n", "ACCEPTED"),
    ]
    users = execute(store, "SELECT DISTINCT user_id, notification_id FROM ringonce_statuses ORDER BY 1")
    assert [tuple(row) for row in users] == [("u", "new"), ("v", "n")]
    assert database.erase(Erasure("u", 30), None) == 0


def test_a_user_with_much_is_erased_bit_by_bit(store: Store) -> None:
    """No transaction removes more than so many events, and in the end none is left."""
    database = store.open()
    writer(database).write([said(number, "u", "ACCEPTED", at=number) for number in range(1_200)])
    counts = []
    while some := database.erase(Erasure("u", 5_000), None):
        counts.append(some)
    assert counts == [500, 500, 200]
    assert execute(store, "SELECT COUNT(*) FROM ringonce_statuses") == [(0,)]


def test_an_erasure_waits_for_who_is_writing(postgres: PostgresServer, tmp_path: Path) -> None:
    """A writer who has begun before the erasure has ended before it removes: nothing slips through between them."""
    store = Store(PostgresAddress(postgres.database()), postgres)
    database = store.open()
    writer(database)
    with psycopg.connect(store.address.url) as busy, ThreadPoolExecutor(1) as pool:  # type: ignore[union-attr] # it is a server
        busy.execute("UPDATE ringonce_parts SET next_offset = 1 WHERE stream = 'statuses' AND number = 0")
        erasing = pool.submit(database.erase, Erasure("u", 30), None)
        time.sleep(0.3)
        assert not erasing.done()
        busy.execute(
            "INSERT INTO ringonce_notifications SELECT 0, 0, 'n', 'u', 't', 10, NULL, 'ADMITTED', '', '', 10, 0, NULL, "
            "NULL, 0, 0, 'u n'"
        )
        busy.commit()
        assert erasing.result(SECONDS_MAX) == 1
    database.close()


def test_what_is_too_old_goes(store: Store) -> None:
    """Statuses by their age, an event when the last of its statuses is gone, marks of erasures after their time."""
    database = store.open()
    me = writer(database)
    me.write(
        [
            said(0, "u", "ADMITTED", at=10, origin=(0, 0)),
            said(1, "u", "ADMITTED", at=10, origin=(0, 1), id="long"),
            said(2, "u", "ACCEPTED", at=11, origin=(0, 0)),
            said(3, "u", "ATTEMPTED", at=20, origin=(0, 0)),
            said(4, "u", "ACCEPTED", at=30, origin=(0, 1), id="long"),
        ]
    )
    me.write([said(0, "u", "ADMITTED", at=10, partition=1, id="elsewhere")])
    database.erase(Erasure("nobody", 15), None)
    assert database.prune(me.claims[0], Outdated(12, 15, 2)) == 11
    assert database.prune(me.claims[0], Outdated(12, 15, 2)) == 20
    assert {row.notification_id for row in database.search(EVERYTHING).found} == {"n", "long", "elsewhere"}
    assert database.prune(me.claims[0], Outdated(25, 16, 2)) == 30
    assert {row.notification_id for row in database.search(EVERYTHING).found} == {"long", "elsewhere"}
    assert [row.state for row in database.story("u", "t", "long")] == ["ACCEPTED"]
    assert database.prune(me.claims[0], Outdated(40, 16, 2)) is None
    assert {row.notification_id for row in database.search(EVERYTHING).found} == {"elsewhere"}
    assert execute(store, "SELECT COUNT(*) FROM ringonce_erased_users") == [(0,)]


def test_readers_see_whole_transactions(store: Store) -> None:
    """Four of them read while one writes; each sees the two statuses of an event, or none of them."""
    database = store.open()
    me = writer(database)
    stop = threading.Event()

    def read() -> int:
        reader, reads = store.open(read_only=True), 0
        while not stop.is_set() or not reads:
            page = reader.search(EVERYTHING)
            assert {row.state for row in page.found} <= {"ACCEPTED"}
            assert [row.origin_offset for row in page.found] == list(range(len(page.found)))[::-1]
            reads += 1
        return reads

    with ThreadPoolExecutor(4) as pool:
        reading = [pool.submit(read) for _ in range(4)]
        for number in range(100):
            rows = [said(2 * number, "u", "ADMITTED", at=number, origin=(0, number))]
            me.write([*rows, said(2 * number + 1, "u", "ACCEPTED", at=number, origin=(0, number))])
        stop.set()
        assert all(each.result(SECONDS_MAX) > 0 for each in reading)
    assert len(database.search(EVERYTHING).found) == 100


def test_what_is_under_way_can_be_ended(store: Store) -> None:
    """From another thread, also where the database would not have answered for long."""
    database = store.open()
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"

    def ask() -> None:
        if isinstance(database, SqliteDatabase):
            database._transaction(lambda connection: connection.execute(endless).fetchall())
        else:
            cast(PostgresDatabase, database)._link.transaction(lambda each: run(each, "SELECT pg_sleep(60)"))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        time.sleep(0.2)
        database.interrupt()
        with pytest.raises(DatabaseDownError):
            asking.result(SECONDS_MAX)
    assert database.search(EVERYTHING).found == []


def test_a_file_that_another_holds_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And said to be down, not wrong, when that takes too long; later it is used as before."""
    monkeypatch.setattr("streams.history.sqlite.BUSY_SECONDS_MAX", 0.1)
    store = Store(SqliteAddress(tmp_path / "history.db"), None)
    database = store.open()
    with sqlite3.connect(tmp_path / "history.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseDownError, match="locked"):
            writer(database)
        other.execute("ROLLBACK")
    assert len(writer(database).claims) == 4


@pytest.mark.parametrize(
    "content", [b"this is no database at all, but a text that is long enough to be looked at" * 20, None]
)
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A file of something else, and a directory that cannot be made."""
    path = tmp_path / "file"
    path.write_bytes(content or b"")
    where = path if content else path / "below" / "history.db"
    database = open_database(SqliteAddress(where))
    with pytest.raises(DatabaseRefusesError, match=r"not a database|Not a directory|File exists"):
        database.open(SOURCE)
    database.close()


def test_a_server_that_was_down_is_used_on(postgres: PostgresServer) -> None:
    """While it is away that is said without the password; when it is back the same object goes on, readers at once."""
    store = Store(PostgresAddress(postgres.database()), postgres)
    database, reader = store.open(), store.open(read_only=True)
    me = writer(database)
    me.write([said(0, "u", "ADMITTED")])
    postgres.stop()
    try:
        for ask in (lambda: me.write([said(1, "u", "ACCEPTED", origin=(0, 0))]), lambda: reader.search(EVERYTHING)):
            with pytest.raises(DatabaseDownError) as caught:
                ask()
            assert not any(each in str(caught.value) for each in (PASSWORD, QUOTED_PASSWORD))
    finally:
        postgres.start()
    me.write([said(1, "u", "ACCEPTED", origin=(0, 0))])
    assert [row.state for row in reader.search(EVERYTHING).found] == ["ACCEPTED"]
    postgres.stop()
    postgres.start()
    assert [row.state for row in reader.search(EVERYTHING).found] == ["ACCEPTED"]
    database.close()
    reader.close()


def test_a_server_that_refuses_says_so_without_the_password(postgres: PostgresServer) -> None:
    """A wrong password, a database that is not there: waiting would not mend either."""
    wrong = "hunter2%40never%20shown"
    for url in (postgres.url("postgres", wrong), postgres.url("nowhere")):
        database = open_database(PostgresAddress(url))
        with pytest.raises(DatabaseRefusesError) as caught:
            database.open(SOURCE)
        said_of_it = str(caught.value) + repr(caught.value) + repr(database.__dict__) + str(PostgresAddress(url))
        assert not any(each in said_of_it for each in (wrong, "hunter2@never shown", PASSWORD, QUOTED_PASSWORD))
        assert "authentication failed" in str(caught.value) or '"nowhere" does not exist' in str(caught.value)


def test_a_batch_without_statuses_moves_on(store: Store) -> None:
    """Records that are passed over, and those about devices, are not read again."""
    database = store.open()
    (claim,) = database.claim([Part("device-changes", 3)], "me")
    database.write(Batch([claim._replace(next_offset=42)], []))
    (again,) = database.claim([Part("device-changes", 3)], "me")
    assert (again.epoch, again.next_offset) == (claim.epoch + 1, 42)


def test_a_file_that_nobody_writes_any_more_can_be_searched(tmp_path: Path) -> None:
    """Its journal went with the last writer; a reader needs none."""
    store = Store(SqliteAddress(tmp_path / "history.db"), None)
    database = store.open()
    writer(database).write([said(0, "u", "ADMITTED")])
    database.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.db"]
    reader = store.open(read_only=True)
    assert len(reader.search(EVERYTHING).found) == 1
    reader.close()
