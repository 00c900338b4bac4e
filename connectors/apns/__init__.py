"""Apple Push Notification service, over HTTP/2 with provider tokens."""

from connectors.apns.client import ApnsConfig, ApnsConnector

__all__ = ["ApnsConfig", "ApnsConnector"]
