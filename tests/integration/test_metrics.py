"""/metrics of a running worker: exactly the documented list, and numbers that agree with what happened."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.metrics import Kind, Metric
from tests.integration.system import PARTITIONS, SECONDS_MAX, System, event, system, web_url

USERS = [f"user-{number:06d}" for number in range(30)]
KIND = "order_ready"


class Scrape:
    """What one worker shows."""

    def __init__(self, url: str) -> None:
        text = httpx.get(f"{url}/metrics", timeout=SECONDS_MAX, trust_env=False).text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def sum(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name that have these labels."""
        samples = [sample for family in self.families.values() for sample in family.samples if sample.name == name]
        return sum(each.value for each in samples if labels.items() <= each.labels.items())


@pytest.fixture(scope="module")
def running(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, str]]:
    """One worker that has sent to each user once, suppressed one more each, and given up some poison."""
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("metrics")) as found:
        worker = found.worker("one")
        found.wait_for_devices()
        found.produce(event(user, KIND, f"first-{user}") for user in USERS)
        found.ended(len(USERS))
        found.produce(event(user, KIND, f"second-{user}") for user in USERS)
        found.produce([event("nobody", "a_type_of_no_file", "stranger")])
        found.ended(2 * len(USERS) + 1)
        yield found, web_url(worker)


def test_it_shows_exactly_what_is_documented(running: tuple[System, str]) -> None:
    """Each name of the list is there, and nothing else, with its kind, its help and its labels."""
    families = Scrape(running[1]).families
    listed = {metric.removesuffix("_total" if metric.kind is Kind.COUNTER else "-"): metric for metric in Metric}
    assert set(families) == set(listed)
    for name, family in families.items():
        metric = listed[name]
        assert family.type == metric.kind.value, name
        if not name.startswith("process_"):  # prometheus_client says those in its own words
            assert family.documentation == metric.help, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), sample


def test_the_numbers_agree_with_what_happened(running: tuple[System, str]) -> None:
    """Decisions, sends, endings and the latency of each step are those of the events that were produced."""
    shown = Scrape(running[1])
    count = len(USERS)
    assert shown.sum("ringonce_events_total", decision="admitted", type=KIND) == count
    assert shown.sum("ringonce_events_total", decision="suppressed", type=KIND) == count
    assert shown.sum("ringonce_events_total", decision="admitted", type="other") == 1
    sends = shown.sum("ringonce_sends_total")
    assert sends == shown.sum("ringonce_sends_total", outcome="accepted") >= count  # some have more than one device
    assert shown.sum("ringonce_ended_total", state="accepted") == count
    assert shown.sum("ringonce_ended_total", state="no_device") == 1
    assert shown.sum("ringonce_event_to_admitted_seconds_count") == count + 1
    assert shown.sum("ringonce_admitted_to_claimed_seconds_count") == count
    assert shown.sum("ringonce_claimed_to_accepted_seconds_count") == sends
    assert 0 < shown.sum("ringonce_claimed_to_accepted_seconds_sum") < SECONDS_MAX * count
    assert shown.sum("ringonce_partitions", stage="suppress") == PARTITIONS
    assert shown.sum("ringonce_ready") == 1
    assert shown.sum("ringonce_commit_seconds_count", stage="deliver") > 0
    assert shown.sum("ringonce_audit_violations_total") == 0


def test_slots_and_lag_settle(running: tuple[System, str]) -> None:
    """As many slots as were admitted; what is read is committed, so that nothing is left that is old."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while True:
        shown = Scrape(running[1])
        settled = (shown.sum("ringonce_slots"), shown.sum("ringonce_lag_seconds"), shown.sum("ringonce_lag_records"))
        if settled == (len(USERS), 0, 0):  # the slot of who has no device is free again
            return
        assert time.monotonic() < give_up_at, settled
        time.sleep(0.5)
