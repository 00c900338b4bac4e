"""The HTTP client that the connectors share; it says of each request whether it may have arrived.

connectors/http2/README.md tells why it is our own.
"""

from connectors.exchange import Answer, Failure, Fields, Post
from connectors.http.asked import Asked
from connectors.http.client import HttpClient
from connectors.http.config import HttpConfig

__all__ = ["Answer", "Asked", "Failure", "Fields", "HttpClient", "HttpConfig", "Post"]
