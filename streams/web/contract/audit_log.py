"""The audit log: what admins did, and who was refused."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from streams.web.contract.operation import Answer, Operation
from streams.web.contract.parameters import DIGITS_MAX, Limit, Query, whole_number
from streams.web.contract.shown import Shown

OFFSET_MAX: Final = 10**DIGITS_MAX - 1
Offset = Annotated[
    int,
    BeforeValidator(whole_number, json_schema_input_type=Annotated[int, Field(ge=1, le=OFFSET_MAX)]),
    Field(ge=1, le=OFFSET_MAX),
]


class AuditLogQuery(Query):
    """Which entries."""

    limit: Limit = Field(100, description="At most so many, the newest first.")
    before: Offset | None = Field(None, description="Those before this offset.")


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
