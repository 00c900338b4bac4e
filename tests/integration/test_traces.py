"""One trace for each notification: from its caller over two workers, a schedule and a retry to the answer."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from streams.publish.messages import Message
from streams.tracing.context import TRACEPARENT
from tests.integration.otlp_receiver import Collector, Received, collector
from tests.integration.system import PARTITIONS, SECONDS_MAX, System, event, now_ms, system, web_url

KIND = "order_ready"
CALLER = "00-{:032x}-00f067aa0ba902b7-01"
Names = list[str]


@pytest.fixture(scope="module")
def traced(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Collector, list[str]]]:
    """Two workers that keep every trace, and a collector."""
    with (
        collector() as found,
        system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("traces")) as running,
    ):
        running.environment |= {
            "RINGONCE_OTLP_ENDPOINT": found.url,
            "RINGONCE_OTLP_HEADERS": "authorization=Bearer of-the-collector",
            "RINGONCE_TRACE_RATIO": "1",
        }
        workers = [running.worker("one"), running.worker("two")]
        urls = [web_url(worker) for worker in workers]
        until(lambda: all(len(partitions(url)) == PARTITIONS // 2 for url in urls))
        running.wait_for_devices()
        yield running, found, urls


def partitions(url: str) -> list[int]:
    """Those of suppress that a worker has."""
    answer = httpx.get(f"{url}/health/ready", timeout=SECONDS_MAX, trust_env=False)
    return list(answer.json()["partitions"]["suppress"]) if answer.status_code == 200 else []


def until(so: Callable[[], bool]) -> None:
    """Look until it is so."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while not so():
        assert time.monotonic() < give_up_at
        time.sleep(0.2)


def whole(found: Collector, trace_id: str, last: str = "outcome") -> list[Received]:
    """The spans of a trace once it has all that lead to its end."""

    def is_there() -> bool:
        spans = found.traces().get(trace_id, [])
        ids = {span.span_id for span in spans} | {"", "00f067aa0ba902b7"}
        return any(span.name == last for span in spans) and all(span.parent_id in ids for span in spans)

    until(is_there)
    return found.traces()[trace_id]


def chain(spans: list[Received]) -> Names:
    """The spans of stages from the caller on, each the parent of the next."""
    by_parent = {span.parent_id: span for span in spans if span.name in ("gateway", "suppress", "schedule", "deliver")}
    names, at = [], "00f067aa0ba902b7" if "00f067aa0ba902b7" in by_parent else ""
    while at in by_parent:
        names.append(by_parent[at].name)
        at = by_parent[at].span_id
    return names


def someone_on_both(urls: list[str], number: int) -> str:
    """A user whose slot is decided on by the first worker, and who is delivered to by the second."""
    first, second = (set(partitions(url)) for url in urls)
    return [
        user
        for user in (f"user-{each:06d}" for each in range(1, 60) if each % 10)
        if partition_of(slot_key(user, KIND), PARTITIONS) in first and partition_of(user.encode(), PARTITIONS) in second
    ][number]


def test_from_the_caller_over_two_workers_to_the_provider(traced: tuple[System, Collector, list[str]]) -> None:
    """The trace that the caller began goes on in the gateway, in suppress on one worker, in deliver on the other."""
    _, found, urls = traced
    user, trace = someone_on_both(urls, 0), uuid.uuid4().int
    body = {"notification_id": "by-http", "user_id": user, "type": KIND, "data": {"name": "Ada", "order": "1"}}
    headers = {TRACEPARENT: CALLER.format(trace), "tracestate": "vendor=x"}
    answer = httpx.post(f"{urls[0]}/notifications", json=body, headers=headers, timeout=SECONDS_MAX, trust_env=False)
    assert answer.status_code == 202, answer.text
    spans = whole(found, f"{trace:032x}")
    assert chain(spans) == ["gateway", "suppress", "deliver"]
    one = {span.name: span for span in spans}
    assert set(one) == {"gateway", "suppress", "queue", "deliver", "render", "claim", "attempt", "outcome"}
    assert one["suppress"].service != one["deliver"].service
    assert one["suppress"].attributes["ringonce.decision"] == "ADMITTED"
    assert one["suppress"].attributes["ringonce.notification_id"] == "by-http"
    assert one["render"].attributes["ringonce.template"]
    attempt = one["attempt"].attributes
    assert (attempt["ringonce.outcome"], attempt["ringonce.attempt"]) == ("ACCEPTED", 1)
    assert attempt["ringonce.provider"] and attempt["http.response.status_code"] in (200, 201)
    assert one["outcome"].attributes["ringonce.decision"] == "ACCEPTED"
    assert all(span.started_ns <= span.ended_ns for span in spans)
    assert one["claim"].ended_ns <= one["attempt"].started_ns + 2_000_000, "no request before its claim is durable"
    assert not any(span.is_error for span in spans)
    assert found.headers["authorization"] == "Bearer of-the-collector"


def test_across_the_schedule(traced: tuple[System, Collector, list[str]]) -> None:
    """A producer's header on Kafka goes through the table of schedule, and the wait has a span of its own."""
    running, found, urls = traced
    user, trace = someone_on_both(urls, 1), uuid.uuid4().int
    data = {"name": "Ada", "order": "1"}
    message = event(user, KIND, "scheduled", send_at=now_ms() + 2_000, data=data)
    message = replace(message, headers=((TRACEPARENT, CALLER.format(trace).encode()),))
    running.produce([message])
    spans = whole(found, f"{trace:032x}")
    assert chain(spans) == ["suppress", "schedule", "suppress", "deliver"]
    (waited,) = [span for span in spans if span.name == "schedule"]
    assert waited.attributes["ringonce.decision"] == "RELEASED"
    assert 1.0 < (waited.ended_ns - waited.started_ns) / 1e9 < SECONDS_MAX
    states = [span.attributes["ringonce.decision"] for span in spans if span.name == "suppress"]
    assert states == ["DEFERRED", "ADMITTED"]


def fault(running: System, **what: Any) -> None:
    """Tell the simulators."""
    request = urllib.request.Request(
        f"{running.simulators['control_url']}/faults", json.dumps(what).encode(), method="POST"
    )
    urllib.request.urlopen(request, timeout=30).close()


def test_across_a_retry(traced: tuple[System, Collector, list[str]]) -> None:
    """An attempt that a provider refuses for now, the wait, and the second attempt are in one trace."""
    running, found, urls = traced
    user, trace = someone_on_both(urls, 2), uuid.uuid4().int
    providers = ("apns", "fcm", "webpush", "webhook")
    for provider in providers:
        fault(running, provider=provider, fault="throttle", retry_after_seconds=1.0)
    message = event(user, KIND, "tried-again")
    running.produce([Message(message.key, message.value, ((TRACEPARENT, CALLER.format(trace).encode()),))])
    running.statuses(lambda seen: "RETRYING" in seen.states("tried-again") or "DEFERRED" in seen.states("tried-again"))
    for provider in providers:
        fault(running, provider=provider, clear=True)
    spans = whole(found, f"{trace:032x}")
    attempts = [span for span in spans if span.name == "attempt"]
    outcomes = [span.attributes["ringonce.outcome"] for span in attempts]
    assert (outcomes[0], outcomes[-1]) == ("NOT_SENT", "ACCEPTED")
    assert attempts[0].attributes["http.response.status_code"] == 429 and attempts[0].is_error
    names = chain(spans)
    assert names[:3] == ["suppress", "deliver", "schedule"] and names[-1] == "deliver", names


def test_the_headers_are_on_what_others_read(traced: tuple[System, Collector, list[str]]) -> None:
    """Whoever consumes `statuses` finds the trace there; and one that nobody began has an id of its own."""
    running, found, urls = traced
    user = someone_on_both(urls, 3)
    running.produce([event(user, KIND, "no-caller")])
    running.statuses(lambda seen: "ACCEPTED" in seen.states("no-caller"))
    headers = asyncio.run(headers_of(running, "no-caller"))
    (trace_id,) = {value.split(b"-")[1].decode() for value in headers}
    assert len(headers) >= 4
    assert chain(whole(found, trace_id)) == ["suppress", "deliver"]


async def headers_of(running: System, notification_id: str) -> list[bytes]:
    """`traceparent` of each status of a notification."""
    from tests.integration.kafka_records import read_all

    records = await read_all(running.settings.bootstrap or "", running.topics.statuses)
    codec = Codec()
    return [
        dict(record.headers)[TRACEPARENT]
        for record in records
        if codec.decode(record.value, ("Status",)).record["notification_id"] == notification_id
    ]


def test_of_a_batch_each_has_its_own_trace(traced: tuple[System, Collector, list[str]]) -> None:
    """With a link to the request that brought them; a step that decides on many has links to them."""
    _, found, urls = traced
    trace = uuid.uuid4().int
    users = [someone_on_both(urls, number) for number in (0, 1, 2)]
    body = [{"notification_id": f"batch-{user}", "user_id": user, "type": "another_kind", "data": {}} for user in users]
    headers = {TRACEPARENT: CALLER.format(trace)}
    answer = httpx.post(f"{urls[0]}/notifications", json=body, headers=headers, timeout=SECONDS_MAX, trust_env=False)
    assert answer.status_code == 202, answer.text

    def gateways() -> list[Received]:
        return [
            span
            for span in found.spans
            if span.name == "gateway" and span.attributes["ringonce.notification_id"].startswith("batch-")
        ]

    until(lambda: len(gateways()) == len(users))
    assert len({span.trace_id for span in gateways()}) == len(users)
    assert all(span.links == [f"{trace:032x}"] for span in gateways())
    wanted = {span.trace_id for span in gateways()}
    until(lambda: wanted <= {link for span in found.spans if span.name == "suppress step" for link in span.links})
