"""What the simulators share: counting, refusing, recording."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from connectors.outcome import ProviderName
from connectors.simulators.exchange import Request, Response
from connectors.simulators.faults import Fault, Faults, Strike
from connectors.simulators.push_log import PushLog, Shown

Clock = Callable[[], int]


class RefusedError(Exception):
    """The request is not taken: the provider's answer, and the provider's word for it."""

    def __init__(self, reason: str, response: Response) -> None:
        super().__init__(reason)
        self.reason = reason
        self.response = response


class ProviderSimulator(ABC):
    """One push service. `accept` decides; the rest keeps the books."""

    name: ProviderName

    def __init__(self, log: PushLog, clock_ms: Clock) -> None:
        self.faults = Faults()
        self.log = log
        self.clock_ms = clock_ms
        self.counts = log.counts[self.name]

    @abstractmethod
    def accept(self, request: Request) -> Response:
        """Check the request in full, record the push, and answer. Raises RefusedError."""

    @abstractmethod
    def void_credential(self, request: Request) -> RefusedError:
        """Let the credential of `request` count as expired from now on, and say so."""

    @abstractmethod
    def unavailable(self, strike: Strike) -> RefusedError:
        """The provider's answer for THROTTLE, UNAVAILABLE, UNAVAILABLE_BUT_DELIVERED and INTERNAL."""

    @abstractmethod
    def unregister(self, address: str, at_ms: int | None = None) -> None:
        """Let `address` be gone since `at_ms` (now). Raises KeyError for one that was never given out."""

    def faults_for(self, request: Request) -> Faults:
        """The plan that `request` is subject to."""
        return self.faults

    def respond(self, request: Request) -> Response:
        """Take the request or refuse it."""
        self.counts.requests += 1
        try:
            return self.accept(request)
        except RefusedError as refusal:
            return self._refuse(refusal)

    def fault_response(self, request: Request, strike: Strike) -> Response:
        """Answer with a fault; what it says of UNAVAILABLE_BUT_DELIVERED is not true, and that is the point."""
        self.counts.requests += 1
        if strike.fault is Fault.EXPIRE_TOKENS:
            return self._refuse(self.void_credential(request))
        if strike.fault is Fault.UNAVAILABLE_BUT_DELIVERED:
            try:
                self.accept(request)
            except RefusedError as refusal:
                return self._refuse(refusal)
            return self.unavailable(strike).response
        return self._refuse(self.unavailable(strike))

    def record(
        self,
        request: Request,
        address: str,
        fields: dict[str, Any],
        *,
        push_id: str,
        collapse_id: str,
        expires_at_ms: int | None,
    ) -> None:
        """Put an accepted push on record; `fields` are the data that the app would get."""
        self.log.record(
            Shown(
                at_ms=self.clock_ms(),
                provider=self.name,
                address=address,
                notification_id=_text(fields, "notification_id"),
                type=_text(fields, "type"),
                user=_text(fields, "user_id"),
                push_id=push_id or _text(fields, "push_id"),
                collapse_id=collapse_id,
                expires_at_ms=expires_at_ms,
                connection=request.connection,
                stream=request.stream,
            )
        )

    def _refuse(self, refusal: RefusedError) -> Response:
        self.counts.refused[refusal.reason] += 1
        return refusal.response


def retry_after(strike: Strike) -> tuple[tuple[bytes, bytes], ...]:
    """The Retry-After header in whole seconds, rounded up (RFC 9110 section 10.2.3), or nothing."""
    if strike.retry_after_seconds is None:
        return ()
    return ((b"retry-after", b"%d" % -(-strike.retry_after_seconds // 1)),)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    return value if isinstance(value, str) else str(value)
