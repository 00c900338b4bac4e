"""Whether deliver did exactly what it was to do: at the provider, and in the record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from schemas.codec import Codec
from schemas.records import FINAL_STATES
from streams.topics import TopicNames
from tests.benchmarks.deliver_workload import Target
from tests.benchmarks.oracle import Verification, records
from tests.benchmarks.responder import Arrival


def verify_arrivals(targets: Sequence[Target], arrivals: Iterable[Arrival], found: Verification) -> None:
    """Each push reached the provider once, and no other one did."""
    counts = Counter(mark for mark, _ in arrivals)
    for target in targets:
        count = counts.pop(target.mark, 0)
        if count != 1:
            found.flaw("a push twice" if count else "no push", f"{target.notification_id}: {count} times")
    for mark in counts:
        found.flaw("a push that nobody asked for", mark)


async def verify_record(bootstrap: str, names: TopicNames, targets: Sequence[Target], found: Verification) -> None:
    """Each notification has one claim, one final state, ACCEPTED, and one verdict, ACCEPTED; only what is committed."""
    codec = Codec()
    claims, ends, verdicts = Counter[str](), Counter[str](), Counter[str]()
    async for _, value, _ in records(bootstrap, names.statuses):
        status = codec.decode(value, ("Status",)).record
        claims[status["notification_id"]] += status["state"] == "SENDING"
        if status["state"] in ("DEFERRED", "RETRYING"):
            found.flaw(f"{status['state']}: {status['reason']}", str(status))
        if status["state"] in FINAL_STATES:
            ends[status["notification_id"]] += 1
            if status["state"] != "ACCEPTED":
                found.flaw(f"{status['state']} instead of ACCEPTED", str(status))
    async for _, value, _ in records(bootstrap, names.verdicts):
        name, verdict = codec.decode(value, ("Verdict", "Deferral"))
        if name == "Deferral":
            found.flaw("put off instead of sent", str(verdict))
            continue
        verdicts[verdict["notification_id"]] += 1
        if verdict["outcome"] != "ACCEPTED":
            found.flaw(f"the verdict {verdict['outcome']} instead of ACCEPTED", str(verdict))
    for target in targets:
        found.admitted += 1
        for what, counts in (("claim", claims), ("final state", ends), ("verdict", verdicts)):
            if counts[target.notification_id] != 1:
                found.flaw(f"not one {what}", f"{target.notification_id}: {counts[target.notification_id]}")
    if len(ends) != len(targets):
        found.flaw("final states of others", f"{len(ends)} for {len(targets)}")
