"""The HTTP/2 client that the push connectors share; it says of each request whether it may have arrived.

README.md in this folder tells why it is our own.
"""

from connectors.http2.answer import Answer, Failure
from connectors.http2.client import Http2Client, Http2Config
from connectors.http2.headers import Fields

__all__ = ["Answer", "Failure", "Fields", "Http2Client", "Http2Config"]
