"""What a worker shows of its process."""

from __future__ import annotations

from streams.worker_metrics import WorkerCollector


def _restarts(collector: WorkerCollector) -> float:
    (family,) = [family for family in collector.collect() if family.name == "ringonce_restarts"]
    (sample,) = family.samples
    return sample.value


def test_restarts_are_over_after_a_good_run() -> None:
    """While the next failure would be the fourth in a row it shows three; then none, and the alert ends by itself."""
    now = 100.0
    collector = WorkerCollector(3, 60.0, lambda: now)
    assert _restarts(collector) == 3
    now = 159.9
    assert _restarts(collector) == 3
    now = 160.0
    assert _restarts(collector) == 0
