"""A circuit breaker: whether somebody who does not answer is asked again. Pure.

    closed --failures_max failures in a row--> open --open_seconds--> one probe: an answer closes it, else it stays open

A probe opens it for another period beforehand: one whose end nobody notes blocks nothing for ever.
"""

from __future__ import annotations

from typing import NamedTuple


class CircuitPolicy(NamedTuple):
    """It opens after so many failures in a row, for so long."""

    failures_max: int
    open_seconds: float


class Circuit(NamedTuple):
    """What has happened. `open_until`: on the clock of the caller, in seconds; None: it is closed."""

    failures: int = 0
    open_until: float | None = None


def closed_in(circuit: Circuit, now: float) -> float:
    """For how long nobody is asked, in seconds; 0: whoever comes next may ask."""
    return 0.0 if circuit.open_until is None else max(0.0, circuit.open_until - now)


def asked(circuit: Circuit, policy: CircuitPolicy, now: float) -> Circuit:
    """Note that a request leaves, which `closed_in` allowed: beside a probe there is no other."""
    return circuit if circuit.open_until is None else circuit._replace(open_until=now + policy.open_seconds)


def answered() -> Circuit:
    """Note an answer: a circuit that is closed."""
    return Circuit()


def failed(circuit: Circuit, policy: CircuitPolicy, now: float, wait_seconds: float = 0.0) -> Circuit:
    """Note a failure. `wait_seconds`: what was asked for with it. One that ends late opens nothing for longer."""
    failures = circuit.failures + 1
    if circuit.open_until is None and failures < policy.failures_max:
        return Circuit(failures)
    open_until = circuit.open_until if circuit.open_until is not None else now + policy.open_seconds
    return Circuit(failures, max(open_until, now + wait_seconds))
