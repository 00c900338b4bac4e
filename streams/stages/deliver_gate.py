"""The gate: for which devices of a notification a request may be claimed now, and what the others wait for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from connectors.outcome import Device
from streams.stages.deliver_entry import ByPriority, Entry
from streams.stages.deliver_requests import Requests
from streams.stages.deliver_services import Go, Service, Services, Shut, Wait
from streams.stages.deliver_types import Priority

_new: Final = tuple.__new__  # Passage(...) costs 0.2 µs more.
PARKED_MAX = 400  # entries that wait in one lane for one service, those of bulk only half of them
PARKED_SERVICES_MAX = 3  # so that even then there is room in the lane for what waits for nobody


class Passage(NamedTuple):
    """`go`: claim for these, each with its service. `shut`: their services are left alone until `until`.

    `wait`: not now, none of them; it is for a place at this service.
    """

    go: list[tuple[Device, Service]]
    shut: list[Device]
    until: int
    wait: Service | None


class Gate:
    """Places at the services, as one lane may take them in one step.

    So many are claimed as have room in the lane, and ahead for twice as many as end from one step to the next: so many
    will end while these claims are made durable, and as many while the next ones are, and no place stays empty
    meanwhile. Where nothing ends, nothing is claimed ahead. `settled`: how many ended.
    """

    def __init__(
        self, services: Services, requests: Requests, in_flight_max: int, settled: Mapping[Service, int], now: int
    ) -> None:
        self._services = services
        self._requests = requests
        self._in_flight_max = in_flight_max
        self._settled = settled
        self._now = now
        self._share = services.share()
        self._claimed: Counter[Service] = Counter()
        self._left: dict[Service, int] = {}  # places that were found and not taken, since the lane last gave way

    def look_anew(self) -> None:
        """Others had their turn: what was found may be gone."""
        self._left.clear()

    def room(self, service: Service) -> int:
        """How many more may be claimed for a service in this step."""
        ahead = 2 * self._settled.get(service, 0)
        return self._in_flight_max + ahead - self._requests.of(service) - self._claimed[service]

    def look(self, service: Service) -> Go | Wait | Shut:
        """How many more may be claimed now."""
        answer = service.look(self._now, self._share)
        if isinstance(answer, Go):
            places = min(answer.places, self.room(service))
            return Go(places) if places > 0 else Wait(None)
        return answer

    def ask(self, devices: Sequence[Device]) -> Passage:
        """Ask for all devices of a notification; `take` takes the places."""
        if len(devices) == 1:  # as most users have
            return self._ask_one(devices[0])
        named = [(device, self._services.of(device, self._now)) for device in devices]
        answers = {service: self.look(service) for service in dict.fromkeys(service for _, service in named)}
        waits = next((service for service, answer in answers.items() if isinstance(answer, Wait)), None)
        if waits is not None:
            return Passage([], [], 0, waits)
        go = [(device, service) for device, service in named if isinstance(answers[service], Go)]
        untils = [answer.until for answer in answers.values() if isinstance(answer, Shut)]
        shut = [device for device, service in named if isinstance(answers[service], Shut)]
        return Passage(go, shut, max(untils, default=0), None)

    def _ask_one(self, device: Device) -> Passage:
        service = self._services.of(device, self._now)
        if self._left.get(service, 0) > 0:
            return _new(Passage, ([(device, service)], [], 0, None))
        answer = self.look(service)
        if isinstance(answer, Go):
            self._left[service] = answer.places
            return Passage([(device, service)], [], 0, None)
        if isinstance(answer, Wait):
            return Passage([], [], 0, service)
        return Passage([], [device], answer.until, None)

    def take(self, passage: Passage) -> None:
        """Take the places of what may go."""
        for _, service in passage.go:
            service.take(1, self._now)
            self._claimed[service] += 1
            if service in self._left:
                self._left[service] -= 1

    def places(self) -> int:
        """How many more may be claimed in this step, at all services together that are known."""
        answers = (self.look(service) for service in self._services.all())
        return sum(answer.places for answer in answers if isinstance(answer, Go))

    def later(self, devices: Sequence[Device], wait: Service | None) -> tuple[int, str]:
        """When what cannot wait here should come again, and why."""
        service = wait or self._services.of(devices[0], self._now)
        until = service.later(self._now, self._share)
        said = "has as much to do as it can take" if wait is not None else "fails and is left alone"
        return until, f"{service.name} {said}"


class Parked:
    """Entries of one lane that wait in memory for a place at a service.

    When as many wait as may, it depends on the service: one that is slow has the rest sent away, so that the lane can
    read on for the others; one that is merely busy holds the lane up, which is what a backlog is for.
    """

    def __init__(self) -> None:
        self._by_service: dict[Service, ByPriority] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_service.values()))

    def put(self, entry: Entry, service: Service) -> bool:
        """Let it wait; False: too many do."""
        parked = self._by_service.get(service)
        if parked is None:
            if len(self._by_service) >= PARKED_SERVICES_MAX:
                return False
            parked = self._by_service[service] = ByPriority()
        if len(parked) >= (PARKED_MAX // 2 if entry.policy.priority is Priority.BULK else PARKED_MAX):
            return False
        parked.add(entry)
        return True

    def services(self) -> list[Service]:
        """Those that are waited for."""
        return list(self._by_service)

    def holds_up(self, now: int) -> bool:
        """Whether nothing more is to be opened: a service that is not slow has as many waiting as may."""
        return any(
            len(parked) >= PARKED_MAX // 2 and not service.is_slow(now) for service, parked in self._by_service.items()
        )

    def next(self, gate: Gate) -> list[Entry]:
        """Take as many as may go now; those of a service that is left alone all come, to be sent away."""
        taken: list[Entry] = []
        for service, parked in list(self._by_service.items()):
            answer = gate.look(service)
            if isinstance(answer, Wait):
                continue
            taken += parked.next(len(parked) if isinstance(answer, Shut) else answer.places)
            if not len(parked):
                del self._by_service[service]
        return taken
