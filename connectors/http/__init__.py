"""The HTTP client that the connectors share; it says of each request whether it may have arrived.

connectors/http2/README.md tells why it is our own.
"""

from connectors.exchange import Answer, Failure, Fields
from connectors.http.client import HttpClient, HttpConfig

__all__ = ["Answer", "Failure", "Fields", "HttpClient", "HttpConfig"]
