"""Our Kafka settings in Faust's words."""

from __future__ import annotations

from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT

from streams.settings import Settings, kafka_client_options


def broker_credentials(settings: Settings) -> CredentialsT | None:
    """Return the credentials for Faust's own clients; None for a plain connection."""
    options = kafka_client_options(settings)
    context = options.get("ssl_context")
    if settings.security_protocol.startswith("SASL"):
        return SASLCredentials(
            mechanism=settings.sasl_mechanism,
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context=context)
