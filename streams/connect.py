"""The connectors of a worker, as its settings want them. A provider without credentials is off."""

from __future__ import annotations

from connectors.apns import ApnsConfig, ApnsConnector
from connectors.fcm import FcmConfig, FcmConnector
from connectors.outcome import Connector, ProviderName
from connectors.webpush import WebPushConfig, WebPushConnector
from streams.settings import Settings


def open_connectors(settings: Settings) -> dict[ProviderName, Connector]:
    """Return the connectors, not started. Raises CredentialsError, which names the setting and no secret."""
    connectors: dict[ProviderName, Connector] = {}
    ca_file = None if settings.provider_ca_file is None else str(settings.provider_ca_file)
    apns, fcm, webpush = settings.apns, settings.fcm, settings.webpush
    if apns.key_file is not None and apns.key_id and apns.team_id and apns.topic:
        connectors[ProviderName.APNS] = ApnsConnector(
            ApnsConfig(
                base_url=apns.base_url,
                key_file=str(apns.key_file),
                key_id=apns.key_id,
                team_id=apns.team_id,
                topic=apns.topic,
                ca_file=ca_file,
                connections=apns.connections,
                request_timeout_seconds=apns.request_timeout_seconds,
            )
        )
    if fcm.service_account_file is not None:
        connectors[ProviderName.FCM] = FcmConnector(
            FcmConfig(
                base_url=fcm.base_url,
                service_account_file=str(fcm.service_account_file),
                token_url=fcm.token_url,
                ca_file=ca_file,
                connections=fcm.connections,
                request_timeout_seconds=fcm.request_timeout_seconds,
            )
        )
    if webpush.vapid_key_file is not None and webpush.subject:
        connectors[ProviderName.WEBPUSH] = WebPushConnector(
            WebPushConfig(
                vapid_key_file=str(webpush.vapid_key_file),
                subject=webpush.subject,
                ca_file=ca_file,
                connections=webpush.connections,
                request_timeout_seconds=webpush.request_timeout_seconds,
                allow_private_endpoints=webpush.allow_private_endpoints,
            )
        )
    return connectors
