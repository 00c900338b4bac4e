"""The metrics of a worker: every name there is, and one registry for each app, so that two in a process never meet."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector


class Metric(StrEnum):
    """Every metric, by the name under which it is scraped. Units come last, as Prometheus wants it."""

    SCHEDULE_PENDING = "ringonce_schedule_pending"
    SCHEDULE_TOTAL = "ringonce_schedule_total"
    SCHEDULE_LEDGER_DIFFERENCE = "ringonce_schedule_ledger_difference"
    SCHEDULE_LATENESS_SECONDS = "ringonce_schedule_lateness_seconds"
    PROVIDER_BREAKER_OPEN = "ringonce_provider_breaker_open"
    PROVIDER_IN_FLIGHT = "ringonce_provider_in_flight"
    PROVIDER_PLACES = "ringonce_provider_places"
    PROVIDER_ANSWER_SECONDS = "ringonce_provider_answer_seconds"
    DEAD_LETTERS_TOTAL = "ringonce_dead_letters_total"
    DEAD_LETTERS_PAUSED = "ringonce_dead_letters_paused"
    PROFILE_LOOKUPS_TOTAL = "ringonce_profile_lookups_total"
    PROFILE_REQUESTS_TOTAL = "ringonce_profile_requests_total"
    PROFILE_BREAKER_OPEN = "ringonce_profile_breaker_open"
    PROFILES_CACHED = "ringonce_profiles_cached"
    BROADCAST_UNFINISHED = "ringonce_broadcast_unfinished"
    BROADCAST_USERS_TOTAL = "ringonce_broadcast_users_total"
    BROADCAST_LEDGER_DIFFERENCE = "ringonce_broadcast_ledger_difference"
    DEVICE_CHANGES_TOTAL = "ringonce_device_changes_total"
    AUDIT_VIOLATIONS_TOTAL = "ringonce_audit_violations_total"
    AUDIT_STATUSES_TOTAL = "ringonce_audit_statuses_total"
    AUDIT_PASSED_OVER_TOTAL = "ringonce_audit_passed_over_total"
    AUDIT_SAMPLE_RATIO = "ringonce_audit_sample_ratio"
    AUDIT_OVERDUE = "ringonce_audit_overdue"
    TEMPLATES = "ringonce_templates"
    TEMPLATES_REFUSED_TOTAL = "ringonce_templates_refused_total"


class Metrics:
    """The registry of one app. What is added is asked when somebody scrapes, and costs nothing before."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

    def add(self, collector: Collector) -> None:
        """Add what one stage shows of itself."""
        self._registry.register(collector)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
