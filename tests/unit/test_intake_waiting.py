"""Since when callers wait for Kafka, by partition."""

from __future__ import annotations

from streams.publish.intake import Waiting


def test_the_longest_wait_for_a_partition_counts() -> None:
    """
    time       0     1     2     3     4
    caller a   [0,1 ─────────── end
    caller b         [1 ───────────────
    partition 0: a;  partition 1: a, then b;  partition 2: nobody
    """
    now = 0.0
    waiting = Waiting(lambda: now)
    assert waiting.seconds("t", {0, 1, 2}) == 0
    a = waiting.begin("t", {0, 1})
    now = 1.0
    b = waiting.begin("t", {1})
    now = 2.0
    assert waiting.seconds("t", {0}) == 2
    assert waiting.seconds("t", {1, 2}) == 2
    assert waiting.seconds("t", {2}) == 0
    assert waiting.seconds("other", {0, 1}) == 0
    now = 3.0
    waiting.end("t", {0, 1}, a)
    assert waiting.seconds("t", {0}) == 0
    assert waiting.seconds("t", {1}) == 2
    waiting.end("t", {1}, b)
    assert waiting.seconds("t", {0, 1, 2}) == 0


def test_nothing_is_kept_of_who_waits_no_longer() -> None:
    """However many there were."""
    waiting = Waiting(lambda: 0.0)
    for partition in range(100):
        waiting.end("t", {partition}, waiting.begin("t", {partition}))
    assert waiting._since == {}
