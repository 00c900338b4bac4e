"""Webhooks: a signed POST to whoever registered a URL, by the Standard Webhooks specification 1.0.0."""

from connectors.webhook.client import WebhookConfig, WebhookConnector

__all__ = ["WebhookConfig", "WebhookConnector"]
