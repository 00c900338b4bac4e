"""`/overview` and `/admin` over HTTP, on the whole front of a worker that has no Kafka."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from streams.web.contract.page import Overview
from tests.unit.front_bench import a_key, bearer, front_settings, guarded_settings, serve


def test_the_overview_is_as_its_description_says(tmp_path: Path) -> None:
    """Also before there is anything to show: that is when somebody looks."""

    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.get("/overview")
        assert answer.status_code == 200
        shown = Overview.model_validate(answer.json())
        (worker,) = shown.workers
        assert (worker.answered, worker.ready) == (True, False)
        assert worker.partitions == {stage: [] for stage in ("suppress", "schedule", "deliver", "broadcast")}
        assert len(shown.ticks) == len(shown.reporting)

    serve(front_settings(tmp_path), scenario)


@pytest.mark.parametrize("query", ["since=x", "since=-1", "since=1e9", "until=1", "since=" + "9" * 16])
def test_a_query_that_says_nothing_is_refused_by_name(tmp_path: Path, query: str) -> None:
    """With a sentence, and not with figures that nobody has asked for."""

    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.get(f"/overview?{query}")
        assert answer.status_code == 400
        assert "since" in answer.json()["detail"]

    serve(front_settings(tmp_path), scenario)


def test_the_page_is_for_everybody_and_what_it_shows_is_not(tmp_path: Path) -> None:
    """It holds nothing; the figures need the scope read."""
    _, reader = a_key(tmp_path, "read")
    _, sender = a_key(tmp_path, "send")

    async def scenario(client: httpx.AsyncClient) -> None:
        document = await client.get("/admin")
        assert document.status_code == 200
        address = document.text.partition('type="module" src="')[2].partition('"')[0]
        script = await client.get(f"/{address}")
        assert script.status_code == 200
        assert "immutable" in script.headers["cache-control"]
        moved = await client.get("/admin/")
        assert (moved.status_code, moved.headers["location"]) == (308, "../admin")
        assert (await client.get("/overview")).status_code == 401
        assert (await client.get("/overview", headers=bearer(sender))).status_code == 403
        assert (await client.get("/overview", headers=bearer(reader))).status_code == 200

    serve(guarded_settings(tmp_path), scenario)


def test_the_answers_of_the_page_forbid_what_it_does_not_need(tmp_path: Path) -> None:
    """Scripts and styles but its own, frames, and whatever a browser would guess."""

    async def scenario(client: httpx.AsyncClient) -> None:
        headers = (await client.get("/admin")).headers
        policy = headers["content-security-policy"]
        for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
            assert part in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-cache"

    serve(front_settings(tmp_path), scenario)
