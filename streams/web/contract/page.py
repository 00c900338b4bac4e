"""The admin page, and the live figures that it shows."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from streams.web.contract.operation import Answer, Operation
from streams.web.contract.parameters import Query, whole_number
from streams.web.contract.shown import Ms, Shown

INSTANT_DIGITS_MAX = 15

Column = list[float | None]


class OverviewQuery(Query):
    """From when on."""

    since: Annotated[
        int,
        BeforeValidator(whole_number, json_schema_input_type=Annotated[int, Field(ge=0, lt=10**INSTANT_DIGITS_MAX)]),
        Field(ge=0, lt=10**INSTANT_DIGITS_MAX),
    ] = Field(0, description="Only ticks from this one on, milliseconds since the epoch; 0: all that are kept.")


class WorkerShown(Shown):
    """A worker, as it says of itself; of one that has not answered only its URL is known."""

    url: str
    answered: bool
    process_id: int | None = None
    version: str | None = None
    started_at: Ms | None = None
    ready: bool | None = None
    partitions: dict[str, list[int]] | None = Field(None, description="By stage.")
    queued: dict[str, int] | None = Field(None, description="Records in memory by stage, not taken into a step yet.")


class Overview(Shown):
    """What goes on, over all workers."""

    system: str
    at: Ms
    tick_ms: int = Field(description="How far the ticks are apart.")
    ticks_max: int = Field(description="How many are kept.")
    partitions: int
    workers: list[WorkerShown]
    ticks: list[int]
    reporting: list[int] = Field(description="How many workers each tick is of.")
    series: dict[str, dict[str, Column]] = Field(
        description="By name and label: rates by the second, and gauges. Of the metrics that docs/metrics.md explains."
    )
    latencies: dict[str, dict[str, Column]] = Field(
        description="By name: p50 and p99 in seconds over the last ticks, and how many a second they are of."
    )


OPERATIONS = (
    Operation(
        "GET",
        "/overview",
        "overview",
        "worker",
        "read",
        "Live figures of all workers",
        {200: Answer("The last ten minutes, or what is new.", Overview)},
        (),
        "Whoever is asked asks the others; one that does not answer in time is named, and its figures are missing.",
        query=OverviewQuery,
    ),
    Operation(
        "GET",
        "/admin",
        "admin_page",
        "worker",
        "public",
        "The admin page",
        {200: Answer("For people.", None, "text/html")},
    ),
    Operation(
        "GET",
        "/admin/",
        "admin_page_moved",
        "worker",
        "public",
        "Leads to /admin",
        {308: Answer("It is at /admin.", None, None)},
    ),
    Operation(
        "GET",
        "/admin/{version}/{path}",
        "admin_page_file",
        "worker",
        "public",
        "A file of the admin page",
        {200: Answer("It never changes under its address.", None, "text/javascript")},
        (404,),
    ),
)
