"""Firebase Cloud Messaging, HTTP v1, with a service account."""

from connectors.fcm.client import FcmConfig, FcmConnector

__all__ = ["FcmConfig", "FcmConnector"]
