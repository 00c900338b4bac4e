"""Every metric: its name, what kind it is, its labels, what it says. docs/metrics.md is written from here.

The values of a label are bounded: partitions, stages, topics, providers, types of the types file, closed lists.
Counters count what is committed, from the start of the process or, where a partition is a label, since the worker got
it; Prometheus' `rate` and `increase` know such resets.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final


class Kind(Enum):
    """As Prometheus names them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


_COUNTER: Final = Kind.COUNTER
_GAUGE: Final = Kind.GAUGE
_HISTOGRAM: Final = Kind.HISTOGRAM
_STAGE_PARTITION: Final = ("stage", "partition")


class Metric(StrEnum):
    """A metric, by the name under which it is scraped. Units come last, as Prometheus wants it."""

    kind: Kind
    labels: tuple[str, ...]
    help: str

    def __new__(cls, name: str, kind: Kind, labels: tuple[str, ...], text: str) -> Metric:
        """Make a member whose value is the name."""
        made = str.__new__(cls, name)
        made._value_ = name
        made.kind, made.labels, made.help = kind, labels, text
        return made

    # --- the worker
    BUILD_INFO = "ringonce_build_info", _GAUGE, ("version",), "1, with the version that runs."
    READY = "ringonce_ready", _GAUGE, (), "1: it has its partitions, and they are recovered."
    RESTARTS = (
        "ringonce_restarts",
        _GAUGE,
        (),
        "How often it has started anew in place, in a row; after a minute of work 0 again.",
    )
    PARTITIONS = "ringonce_partitions", _GAUGE, ("stage",), "Partitions that it works on."
    CLOCK_OFFSET_SECONDS = (
        "ringonce_clock_offset_seconds",
        _GAUGE,
        (),
        "By how much its clock is at least ahead of the broker's, as the last commit proved; negative: behind.",
    )
    CLOCK_OFFSET_MAX_SECONDS = (
        "ringonce_clock_offset_max_seconds",
        _GAUGE,
        (),
        "By how much it may be off; beyond that nothing is committed.",
    )
    COMMIT_SECONDS = "ringonce_commit_seconds", _HISTOGRAM, ("stage",), "How long the commit of a step takes."

    # --- how late it is
    LAG_RECORDS = (
        "ringonce_lag_records",
        _GAUGE,
        ("stage", "topic", "partition"),
        "Offsets between what is committed and the end of the topic, as it was some seconds ago.",
    )
    LAG_SECONDS = (
        "ringonce_lag_seconds",
        _GAUGE,
        ("stage", "topic", "partition"),
        "Age of the oldest records that were read and are not committed; 0: there are none.",
    )
    QUEUED_RECORDS = (
        "ringonce_queued_records",
        _GAUGE,
        _STAGE_PARTITION,
        "Records in memory that no step has taken.",
    )
    EVENT_TO_ADMITTED_SECONDS = (
        "ringonce_event_to_admitted_seconds",
        _HISTOGRAM,
        (),
        "From when an event, or its release by schedule, was written to Kafka to the step that admitted it.",
    )
    ADMITTED_TO_CLAIMED_SECONDS = (
        "ringonce_admitted_to_claimed_seconds",
        _HISTOGRAM,
        ("priority",),
        "From the admission to the claim of the first attempt.",
    )
    CLAIMED_TO_ACCEPTED_SECONDS = (
        "ringonce_claimed_to_accepted_seconds",
        _HISTOGRAM,
        ("provider",),
        "From the claim to the answer of a provider that took it.",
    )
    SCHEDULE_LATENESS_SECONDS = (
        "ringonce_schedule_lateness_seconds",
        _HISTOGRAM,
        (),
        "From the due time of a notification to the step that released it.",
    )
    SCHEDULE_OVERDUE_SECONDS = (
        "ringonce_schedule_overdue_seconds",
        _GAUGE,
        ("partition",),
        "For how long the next notification has been due and not released; 0: none is.",
    )

    # --- what became of events
    EVENTS_TOTAL = (
        "ringonce_events_total",
        _COUNTER,
        ("type", "decision"),
        "Events by what suppress decided; one that was deferred is decided on again when it is due.",
    )
    ENDED_TOTAL = (
        "ringonce_ended_total",
        _COUNTER,
        ("type", "state"),
        "Admitted notifications by how they ended in deliver.",
    )
    SENDS_TOTAL = "ringonce_sends_total", _COUNTER, ("provider", "outcome"), "Attempts for one device, by outcome."
    SENDS_FAILED_TOTAL = (
        "ringonce_sends_failed_total",
        _COUNTER,
        ("provider", "outcome", "reason"),
        "Those of them that were not accepted, by the provider's word; the rarer ones under `other`.",
    )
    RETRIES_TOTAL = "ringonce_retries_total", _COUNTER, ("type",), "Attempts that were put off to a later one."
    DEAD_LETTERS_TOTAL = "ringonce_dead_letters_total", _COUNTER, _STAGE_PARTITION, "Dead letters."
    DEAD_LETTERS_PAUSED = (
        "ringonce_dead_letters_paused",
        _GAUGE,
        _STAGE_PARTITION,
        "1: it takes nothing more, because too much died.",
    )

    # --- providers
    PROVIDER_BREAKER_OPEN = (
        "ringonce_provider_breaker_open",
        _GAUGE,
        ("service",),
        "1: it fails, and is left alone or being tried.",
    )
    PROVIDER_IN_FLIGHT = "ringonce_provider_in_flight", _GAUGE, ("service",), "Pushes that were claimed, not answered."
    PROVIDER_PLACES = (
        "ringonce_provider_places",
        _GAUGE,
        ("service",),
        "Pushes that may be under way; rises with each answer.",
    )
    PROVIDER_ANSWER_SECONDS = (
        "ringonce_provider_answer_seconds",
        _GAUGE,
        ("service",),
        "How long answers take, of the last ones.",
    )

    # --- what is kept
    SLOTS = (
        "ringonce_slots",
        _GAUGE,
        (),
        "Slots that are held or blocked, as counted last: a slice for each scrape.",
    )
    TABLE_ROWS = "ringonce_table_rows", _GAUGE, ("table",), "Local rows, as RocksDB estimates them."
    SCHEDULE_PENDING = "ringonce_schedule_pending", _GAUGE, ("partition", "kind"), "What waits for its time."
    SCHEDULE_TOTAL = (
        "ringonce_schedule_total",
        _COUNTER,
        ("partition", "event"),
        "What schedule has done with what it took, since the partition began.",
    )
    SCHEDULE_LEDGER_DIFFERENCE = (
        "ringonce_schedule_ledger_difference",
        _GAUGE,
        ("partition", "against"),
        "By how much the counts contradict each other, or the rows of the table; anything but 0 is a mistake.",
    )
    RECOVERY_REPLAYED_RECORDS = (
        "ringonce_recovery_replayed_records",
        _GAUGE,
        (),
        "Changelog records that the last recovery has applied so far.",
    )
    RECOVERY_REMAINING_RECORDS = (
        "ringonce_recovery_remaining_records",
        _GAUGE,
        (),
        "Offsets that it has still to go; 0: it is done.",
    )
    RECOVERY_SECONDS = "ringonce_recovery_seconds", _GAUGE, (), "How long the last one took."
    STANDBY_RECORDS_TOTAL = (
        "ringonce_standby_records_total",
        _COUNTER,
        (),
        "Changelog records of other workers' partitions that it has followed.",
    )

    # --- users
    PROFILE_LOOKUPS_TOTAL = (
        "ringonce_profile_lookups_total",
        _COUNTER,
        ("outcome",),
        "Profiles that were asked for at the user service, or remembered.",
    )
    PROFILE_REQUESTS_TOTAL = (
        "ringonce_profile_requests_total",
        _COUNTER,
        (),
        "Requests to the user service, repeated ones included.",
    )
    PROFILE_BREAKER_OPEN = (
        "ringonce_profile_breaker_open",
        _GAUGE,
        (),
        "1: the user service fails, and is left alone or being tried.",
    )
    PROFILES_CACHED = "ringonce_profiles_cached", _GAUGE, (), "Users of whom something is remembered."
    DEVICE_CHANGES_TOTAL = (
        "ringonce_device_changes_total",
        _COUNTER,
        ("change",),
        "Changes of devices: by request, by a provider that said gone, given way to newer ones, without effect.",
    )
    BROADCAST_UNFINISHED = (
        "ringonce_broadcast_unfinished",
        _GAUGE,
        ("partition", "state"),
        "Broadcasts that have not ended.",
    )
    BROADCAST_USERS_TOTAL = (
        "ringonce_broadcast_users_total",
        _COUNTER,
        ("partition", "event"),
        "Users that broadcasts looked at, and what became of them.",
    )
    BROADCAST_LEDGER_DIFFERENCE = (
        "ringonce_broadcast_ledger_difference",
        _GAUGE,
        ("partition",),
        "By how much the counts of a broadcast contradicted each other; anything but 0 is a mistake.",
    )
    TEMPLATES = "ringonce_templates", _GAUGE, ("source",), "Types whose template is from here now."
    TEMPLATES_REFUSED_TOTAL = (
        "ringonce_templates_refused_total",
        _COUNTER,
        ("source",),
        "Versions of templates that could not be used. The log says why, and the ones before them stay.",
    )

    # --- the history, where the worker keeps it
    HISTORY_WRITTEN_TOTAL = "ringonce_history_written_total", _COUNTER, (), "Statuses written into the history."
    HISTORY_ERASED_TOTAL = "ringonce_history_erased_total", _COUNTER, (), "Events of erased users removed from it."
    HISTORY_PASSED_OVER_TOTAL = (
        "ringonce_history_passed_over_total",
        _COUNTER,
        (),
        "Records that could not be read, and are not in it.",
    )
    HISTORY_DOWN = "ringonce_history_down", _GAUGE, (), "1: its database cannot be used, and is waited for."

    # --- the web views
    HTTP_REFUSED_TOTAL = (
        "ringonce_http_refused_total",
        _COUNTER,
        ("status",),
        "Requests that the guard refused before any view saw them.",
    )
    AUDIT_LOG_LOST_TOTAL = (
        "ringonce_audit_log_lost_total",
        _COUNTER,
        (),
        "Entries of the audit log that could not be written: refusals, and how an action ended.",
    )

    # --- the audit
    AUDIT_VIOLATIONS_TOTAL = (
        "ringonce_audit_violations_total",
        _COUNTER,
        ("promise",),
        "Broken promises that the audit of this worker has found. Anything but 0 is a mistake.",
    )
    AUDIT_STATUSES_TOTAL = "ringonce_audit_statuses_total", _COUNTER, (), "Statuses that the audit has looked at."
    AUDIT_PASSED_OVER_TOTAL = (
        "ringonce_audit_passed_over_total",
        _COUNTER,
        (),
        "Statuses that came too fast to be looked at.",
    )
    AUDIT_SAMPLE_RATIO = "ringonce_audit_sample_ratio", _GAUGE, (), "The part of all slots that the audit looks at."
    AUDIT_OVERDUE = (
        "ringonce_audit_overdue",
        _GAUGE,
        (),
        "Notifications in the sample that were admitted, and whose end is overdue.",
    )

    # --- stories
    STORIES_TOLD_TOTAL = "ringonce_stories_told_total", _COUNTER, (), "Statuses that stories were told of."
    STORIES_BEHIND = "ringonce_stories_behind", _GAUGE, (), "Offsets of statuses that stories are not told up to yet."

    # --- traces
    TRACE_SPANS_TOTAL = (
        "ringonce_trace_spans_total",
        _COUNTER,
        ("outcome",),
        "Spans by what became of them: exported, refused by the collector, or left out because too many waited.",
    )

    # --- the process, as prometheus_client shows it on Linux
    PROCESS_CPU_SECONDS_TOTAL = "process_cpu_seconds_total", _COUNTER, (), "CPU time that it has used."
    PROCESS_RESIDENT_MEMORY_BYTES = "process_resident_memory_bytes", _GAUGE, (), "Memory that is resident."
    PROCESS_VIRTUAL_MEMORY_BYTES = "process_virtual_memory_bytes", _GAUGE, (), "Memory that is mapped."
    PROCESS_START_TIME_SECONDS = "process_start_time_seconds", _GAUGE, (), "When it started, since the epoch."
    PROCESS_OPEN_FDS = "process_open_fds", _GAUGE, (), "Files and sockets that are open."
    PROCESS_MAX_FDS = "process_max_fds", _GAUGE, (), "Files and sockets that may be."
