"""What a worker speaks to, as its settings want it: the providers with credentials, and the user service."""

from __future__ import annotations

import re
import ssl

from connectors.apns import ApnsConfig, ApnsConnector
from connectors.credentials import CredentialsError
from connectors.fcm import FcmConfig, FcmConnector
from connectors.outcome import Connector, ProviderName
from connectors.webhook import WebhookConfig, WebhookConnector
from connectors.webpush import WebPushConfig, WebPushConnector
from streams.profiles.bearer import TokenFileError
from streams.profiles.user_service import BREAKER, UserService, UserServiceConfig
from streams.setting_error import ENV_PREFIX, SettingsError
from streams.settings import Settings

# A connector names its provider and the field of its configuration; whoever runs a worker knows environment variables.
_FIELD = re.compile(r"\A(APNs|FCM|Web Push|Webhook) (\w+)")


def open_connectors(settings: Settings) -> dict[ProviderName, Connector]:
    """Return the connectors, not started. Raises SettingsError, which names the setting and no secret."""
    try:
        if settings.provider_ca_file is not None:
            ssl.create_default_context(cafile=settings.provider_ca_file)
        return _open(settings)
    except (ssl.SSLError, OSError) as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError(f"{ENV_PREFIX}PROVIDER_CA_FILE: {settings.provider_ca_file}: {reason}") from None
    except CredentialsError as error:
        raise SettingsError(_FIELD.sub(lambda found: _variable(*found.groups()), str(error))) from None


def open_user_service(settings: Settings) -> UserService | None:
    """Return the user service, if there is one. Raises SettingsError, which names the setting and no secret."""
    if settings.user_service_url is None:
        return None
    config = UserServiceConfig(
        url=settings.user_service_url,
        token_file=settings.user_service_token_file,
        ca_file=settings.user_service_ca_file,
        timeout_seconds=settings.user_service_timeout_seconds,
        attempts=settings.user_service_attempts,
        requests_max=settings.user_service_requests_max,
        found_seconds=settings.user_service_cache_seconds,
        not_found_seconds=settings.user_service_missing_cache_seconds,
        cache_bytes_max=settings.user_service_cache_megabytes * 1024 * 1024,
        breaker=BREAKER._replace(
            run_max=settings.user_service_breaker_failures,
            open_ms_max=int(settings.user_service_breaker_seconds_max * 1000),
        ),
    )
    try:
        return UserService(config)
    except TokenFileError as error:
        raise SettingsError(f"{ENV_PREFIX}USER_SERVICE_TOKEN_FILE: {error}") from None
    except (ssl.SSLError, OSError) as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError(f"{ENV_PREFIX}USER_SERVICE_CA_FILE: {settings.user_service_ca_file}: {reason}") from None


def _variable(provider: str, field: str) -> str:
    return f"{ENV_PREFIX}{provider.replace(' ', '')}_{field}".upper()


def _open(settings: Settings) -> dict[ProviderName, Connector]:
    connectors: dict[ProviderName, Connector] = {}
    ca_file = None if settings.provider_ca_file is None else str(settings.provider_ca_file)
    apns, fcm, webpush = settings.apns, settings.fcm, settings.webpush
    if apns.key_file is not None and apns.key_id and apns.team_id and apns.topic:
        connectors[ProviderName.APNS] = ApnsConnector(
            ApnsConfig(
                base_url=apns.url,
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
                validate_only=fcm.validate_only,
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
    webhook = settings.webhook
    if webhook.secret_file is not None:
        connectors[ProviderName.WEBHOOK] = WebhookConnector(
            WebhookConfig(
                secret_file=str(webhook.secret_file),
                ca_file=ca_file,
                connections=webhook.connections,
                request_timeout_seconds=webhook.request_timeout_seconds,
                allow_private_endpoints=webhook.allow_private_endpoints,
            )
        )
    return connectors
