"""Strict local stand-ins of APNs, FCM and a Web Push service: for the demo, the tests, benchmarks and chaos runs."""

from connectors.simulators.faults import Fault, Faults
from connectors.simulators.provider_simulators import ProviderSimulators
from connectors.simulators.push_log import Counts, PushLog, Shown
from connectors.simulators.tls import Authority, make_authority
from connectors.simulators.webpush import Subscription

__all__ = [
    "Authority",
    "Counts",
    "Fault",
    "Faults",
    "ProviderSimulators",
    "PushLog",
    "Shown",
    "Subscription",
    "make_authority",
]
