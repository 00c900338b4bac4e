"""Searches of the history in each database: right against a model, page by page, and never more than a bounded look."""

from __future__ import annotations

import itertools
import re
import sqlite3
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.records import State
from streams.history.address import SqliteAddress
from streams.history.database import Database
from streams.history.queries import LOOKED_AT_MAX, Place, Search, lead_of, search_query, story_query
from streams.history.rows import StateRow
from tests.integration.history_store import Store, Writer, said, writer

USERS, KINDS, IDS = ("u1", "u2"), ("t1", "t2"), ("n1", "n2", "n3")
STATES: tuple[State, ...] = ("ADMITTED", "ACCEPTED", "SUPPRESSED", "DEAD")
FILTERS = ("user_id", "type", "state", "notification_id", "since", "until", "after")
MANY = 40_000


def matches(row: StateRow, search: Search) -> bool:
    """Whether an event is one of those that are looked for, said as plainly as can be."""
    return all(
        getattr(search, name) in (None, getattr(row, name)) for name in ("user_id", "type", "state", "notification_id")
    ) and (search.since or 0) <= row.began_at_ms < (10**18 if search.until is None else search.until)


def place(row: StateRow) -> Place:
    """Where an event stands in the order of pages."""
    return Place(row.began_at_ms, row.origin_partition, row.origin_offset)


def pages(database: Database, search: Search) -> list[list[StateRow]]:
    """All pages of a search."""
    found = []
    while True:
        page = database.search(search)
        found.append(page.found)
        if page.after is None:
            return found
        assert search.after is None or page.after < search.after
        search = search._replace(after=page.after)


event = st.tuples(
    st.integers(0, 6), st.sampled_from(USERS), st.sampled_from(KINDS), st.sampled_from(IDS), st.sampled_from(STATES)
)
search_strategy = st.builds(
    Search,
    user_id=st.sampled_from((None, *USERS)),
    type=st.sampled_from((None, *KINDS)),
    state=st.sampled_from((None, *STATES)),
    notification_id=st.sampled_from((None, *IDS)),
    since=st.sampled_from((None, 2)),
    until=st.sampled_from((None, 5)),
    limit=st.integers(1, 4),
    after=st.none(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(event, max_size=25),
    meanwhile=st.lists(event, max_size=8),
    search=search_strategy,
    looks=st.integers(2, 9),
)
def test_pages_neither_skip_nor_repeat_while_events_are_added(
    store: Store, before: list[Any], meanwhile: list[Any], search: Search, looks: int
) -> None:
    """What was there when the first page was asked for is found exactly once; what was added, at most once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.history.queries.LOOKED_AT_MAX", looks)
        database = store.opened[0] if store.opened else store.open()
        clear(database)
        me, numbers = writer(database), itertools.count()
        add(me, before, numbers)
        there = {place(row) for row in all_of(database) if matches(row, search)}
        seen: list[StateRow] = []
        asked, left = search, list(meanwhile)
        while True:
            page = database.search(asked)
            assert len(page.found) <= search.limit
            assert asked.after is None or page.after is None or page.after < asked.after
            seen += page.found
            add(me, left[:2], numbers)
            left = left[2:]
            if page.after is None:
                break
            asked = asked._replace(after=page.after)
        places = [place(row) for row in seen]
        assert places == sorted(set(places), reverse=True)
        assert there <= set(places), (before, meanwhile, search, looks, places)
        assert all(matches(row, search) for row in seen)


def add(me: Writer, events: list[Any], numbers: Any) -> None:
    """Write events, in whatever partition."""
    for at, user, kind, id, state in events:
        number = next(numbers)
        me.write([said(number, user, state, at=at, kind=kind, id=id, partition=number % 3)])


def clear(database: Database) -> None:
    """Remove all events, by the way an erasure goes."""
    connection = getattr(database, "_connection", None) or database._link._connection  # type: ignore[attr-defined] # of a server
    for table in ("ringonce_notifications", "ringonce_statuses"):
        connection.execute(f"DELETE FROM {table}")


def all_of(database: Database) -> list[StateRow]:
    """Every event."""
    return [row for page in pages(database, Search(limit=1_000)) for row in page]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A history of many events: two types, of one of which none is DEAD; one user and one id with very many."""
    from tests.integration.history_store import new_store

    kind = str(request.param)
    server = request.getfixturevalue("postgres") if kind == "postgresql" else None
    found = new_store(kind, tmp_path_factory.mktemp("full"), server)
    me = writer(found.open())
    for start in range(0, MANY, 5_000):
        rows = []
        for number in range(start, start + 5_000):
            user = "everybody" if number % 2 else f"user-{number % 1000}"
            id = "campaign" if number % 4 == 1 else f"n-{number}"
            state: State = ("ACCEPTED", "SUPPRESSED", "DEAD")[number % 3]
            kind_of = "quiet" if state != "DEAD" and number % 5 == 0 else "loud"
            rows.append(said(number, user, state, at=number * 10, kind=kind_of, id=id))
        me.write(rows)
    if kind == "postgresql":
        assert not isinstance(found.address, SqliteAddress)
        with psycopg.connect(found.address.url, autocommit=True) as connection:
            connection.execute("ANALYZE")
    yield found
    for database in found.opened:
        database.close()


def combinations() -> list[Search]:
    """A search for each combination of filters."""
    values: dict[str, Any] = {
        "user_id": "everybody",
        "type": "quiet",
        "state": "DEAD",
        "notification_id": "campaign",
        "since": 100_000,
        "until": 300_000,
        "after": Place(250_000, 0, 25_000),
    }
    return [
        Search(**{name: values[name] for name in chosen})
        for count in range(len(FILTERS) + 1)
        for chosen in itertools.combinations(FILTERS, count)
    ]


def test_no_search_reads_more_than_it_may(full: Store) -> None:
    """For each combination of filters both databases begin in the index that was chosen for it, read no more of it
    than may be looked at, and sort nothing: so says EXPLAIN, and on PostgreSQL the count of rows that were read."""
    for search in combinations():
        query = search_query(search)
        index = f"ringonce_notifications_by_{lead_of(search)}"
        if isinstance(full.address, SqliteAddress):
            with sqlite3.connect(full.address.path) as file:
                plan = "\n".join(row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {query.text}", query.values))
            reads = [line for line in plan.splitlines() if "ringonce_notifications" in line]
            assert len(reads) == 1, (search, plan)
            assert index in reads[0], (search, plan)
            assert "SEARCH" in reads[0], (search, plan)
            # What is numbered is sorted again: as many rows as may be looked at.
            assert ("TEMP B-TREE" in plan) <= ("looked_at" in query.text), (search, plan)
            continue
        with psycopg.connect(full.address.url) as connection:
            text = query.text.replace("?", "%s")
            explained = connection.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {text}".encode(), query.values).fetchall()
        plan = "\n".join(row[0] for row in explained)
        assert "Seq Scan" not in plan, (search, plan)
        assert "Sort" not in plan, (search, plan)
        removed = sum(int(count) for count in re.findall(r"Rows Removed by Filter: (\d+)", plan))
        assert removed <= LOOKED_AT_MAX, (search, plan)
        counts = [int(rows) for rows in re.findall(r"Index (?:Only )?Scan.*actual rows=(\d+)", plan)]
        assert len(counts) == 1, (search, plan)
        assert counts[0] <= max(LOOKED_AT_MAX, search.limit + 1), (search, plan)


def test_a_story_reads_more_than_nobody_else_has(full: Store) -> None:
    """By the index of user and id, and the statuses by their events; not the id that very many have."""
    query = story_query("user-4", "loud", "n-4")
    if isinstance(full.address, SqliteAddress):
        with sqlite3.connect(full.address.path) as file:
            plan = "\n".join(row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {query.text}", query.values))
        assert "ringonce_notifications USING" in plan.replace("COVERING ", ""), plan
    else:
        with psycopg.connect(full.address.url) as connection:
            text = query.text.replace("?", "%s")
            plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {text}".encode(), query.values).fetchall())
        assert "Seq Scan" not in plan, plan
    assert "ringonce_notifications_by_one" in plan, plan
    assert "ringonce_statuses_by_origin" in plan, plan


def test_what_is_nowhere_ends_after_bounded_looks(full: Store) -> None:
    """A type and a state that never meet, with many of each: pages without anything, each of which says where to go
    on, until there is nothing left to look at."""
    found = pages(full.open(read_only=True), Search(type="quiet", state="DEAD"))
    assert [len(page) for page in found] == [0] * len(found)
    assert len(found) == -(-(MANY // 3) // LOOKED_AT_MAX)


def test_a_page_that_ends_early_goes_on_where_it_ended(full: Store) -> None:
    """What is rare among many is found, all of it, over pages that are short."""
    found = pages(full.open(read_only=True), Search(user_id="everybody", type="quiet", state="ACCEPTED", limit=50))
    wanted = [number for number in range(MANY) if number % 2 and number % 3 == 0 and number % 5 == 0]
    assert [row.origin_offset for page in found for row in page] == wanted[::-1]
