"""Families of samples by the list of names, so that name, help and labels are said in one place."""

from __future__ import annotations

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from streams.metrics.names import Kind, Metric


def counter(metric: Metric) -> CounterMetricFamily:
    """Return an empty family of a counter."""
    assert metric.kind is Kind.COUNTER, metric
    return CounterMetricFamily(metric.removesuffix("_total"), metric.help, labels=metric.labels)


def gauge(metric: Metric) -> GaugeMetricFamily:
    """Return an empty family of a gauge."""
    assert metric.kind is Kind.GAUGE, metric
    return GaugeMetricFamily(metric, metric.help, labels=metric.labels)


def histogram(metric: Metric) -> HistogramMetricFamily:
    """Return an empty family of a histogram."""
    assert metric.kind is Kind.HISTOGRAM, metric
    return HistogramMetricFamily(metric, metric.help, labels=metric.labels)
