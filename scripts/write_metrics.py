"""Write docs/metrics.md from the list of metrics itself, so that it is complete and true."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from streams.metrics import Metric  # noqa: E402 (the path is set above)

TARGET = ROOT / "docs" / "metrics.md"
INTRODUCTION = """# Metrics

Written by `make docs`; change the texts in `streams/metrics/names.py`.

`GET /metrics` on each worker, in Prometheus' text format. Counters count what is committed, once for each step: what a
crash undoes was never counted, and what is read again is counted once. They begin at 0 with the process and, where a
partition is a label, when the worker gets it, which `rate()` and `increase()` know. Sum over workers and partitions:
`sum by (decision) (rate(ringonce_events_total[5m]))`.

Labels are bounded: partitions, stages, topics, providers and their documented words (at most 40 of a provider, the rest
is `other`), and the types that the types file names; all others are `other`.

Nothing is counted event by event through a client library: a step adds up what it did in plain numbers, and `/metrics`
reads them when it is asked; what that costs is in [results/metrics.md](../tests/benchmarks/results/metrics.md).

Alerts are in `deploy/prometheus`, a dashboard is in `deploy/grafana`, and what to do is in [runbook.md](runbook.md).
"""


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION, "| Name | Kind | Labels | Meaning |", "| --- | --- | --- | --- |"]
    for metric in Metric:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric}` | {metric.kind.value} | {labels} | {metric.help} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
