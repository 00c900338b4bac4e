"""How a service is doing, as a worker knows it."""

from __future__ import annotations

from connectors.outcome import Accepted
from streams.stages.deliver_services import SILENT_MS, Service, ServiceRule


def test_a_provider_is_slow_only_while_it_is_asked() -> None:
    """While a claim is made durable, however long Kafka takes, nobody waits for the provider.

    claimed        left            too long          ended
       |----3 s-----|----SILENT-----|-1 ms-|-----------|
       not slow     not slow        not slow  slow     not slow
    """
    service, left_at = Service("fcm", ServiceRule(), 0), 3_000
    service.take(1, 0)
    assert not service.is_slow(left_at)
    service.asked(left_at)
    assert not service.is_slow(left_at + SILENT_MS)
    assert service.is_slow(left_at + SILENT_MS + 1)
    service.ended(Accepted(200), left_at + 5_000, 100.0)
    assert not service.is_slow(left_at + 10_000)
    assert service.under_way == 0


def test_a_place_that_is_given_back_says_nothing_of_the_provider() -> None:
    """The step that had claimed it was not committed: whoever waits for a place is woken."""
    service, woken = Service("fcm", ServiceRule(), 0), []
    service.take(1, 0)
    service.waiters.add(lambda: woken.append(True))
    service.give_back()
    assert (service.under_way, woken) == (0, [True])
    assert not service.is_slow(60_000)
