"""The metrics of a worker: every name there is, what they are made of, and one registry for each app."""

from streams.metrics.buckets import LATENCY_BOUNDS_MS, Buckets
from streams.metrics.families import counter, gauge, histogram
from streams.metrics.names import Kind, Metric
from streams.metrics.registry import Metrics

__all__ = ["LATENCY_BOUNDS_MS", "Buckets", "Kind", "Metric", "Metrics", "counter", "gauge", "histogram"]
