"""What the history answers, as JSON, from the shell and over HTTP. Instants in milliseconds since the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streams.history.queries import Page
from streams.history.rows import StateRow, StatusRow


def page_document(page: Page) -> dict[str, Any]:
    """Return a page of a search. `after`: what to ask the next page with; null: there is none."""
    return {
        "notifications": [_document(row) for row in page.found],
        "after": None if page.after is None else str(page.after),
    }


def story_document(rows: Sequence[StatusRow]) -> dict[str, Any]:
    """Return the statuses of one notification, in the order in which they were said."""
    return {"statuses": [_document(row) for row in rows]}


def _document(row: StateRow | StatusRow) -> dict[str, Any]:
    return {name.removesuffix("_ms"): value for name, value in row._asdict().items() if name != "subject"}
