"""Strict local stand-ins of APNs, FCM, a Web Push service and a receiver of webhooks."""

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
