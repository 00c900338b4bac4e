"""Web Push: RFC 8030 with the encryption of RFC 8291 and the identification of RFC 8292."""

from connectors.webpush.client import WebPushConfig, WebPushConnector

__all__ = ["WebPushConfig", "WebPushConnector"]
