"""The audit log: what admins did, and who was refused."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from streams.web.contract.operation import Answer, Operation
from streams.web.contract.shown import Shown


class AuditLogQuery(BaseModel):
    """Which entries."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=1_000, description="At most so many, the newest first.")
    before: int | None = Field(None, ge=1, le=2**62, description="Those before this offset.")


class AuditLogPage(Shown):
    """Entries, the newest first."""

    entries: list[dict[str, Any]] = Field(description="Records `AuditEntry` with their `offset`.")
    before: int | None = Field(description="What to ask with for older ones; null: there are none.")


OPERATIONS = (
    Operation(
        "GET",
        "/audit-log",
        "audit_log",
        "session",
        "admin",
        "What was done and refused",
        {200: Answer("A page of it.", AuditLogPage)},
        (503,),
        "Every admin action, before and after it; every refused key; sessions that begin and end.",
        AuditLogQuery,
    ),
)
