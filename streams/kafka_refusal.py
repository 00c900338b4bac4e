"""What stands between us and a Kafka that is there: a setting that is wrong, told from a broker that is missing.

aiokafka takes both for a broker that is not there yet and tries for ever. Each sentence names the setting to look at.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from aiokafka.errors import IllegalSaslStateError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

from streams.setting_error import ENV_PREFIX
from streams.settings import Settings

# X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL: trusted, but somebody else's.
_OTHER_NAME = frozenset((62, 64))
# What a server says of the client's certificate, in OpenSSL's names for the alerts of RFC 8446 section 6.2. TLS 1.2 has
# no alert for a certificate that is missing: Java's `handshake_failure` stands for it.
_CERTIFICATE_ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "ACCESS_DENIED")
# OpenSSL's reasons when the other side speaks, but not TLS.
_NO_TLS = frozenset(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"))


def refusal(error: BaseException, settings: Settings, address: str) -> str | None:
    """The line for a setting that is wrong beyond doubt; None: it may be that the broker is only not there yet.

    `address`: where `error` happened, host:port. The line holds no secret.
    """
    for cause in _causes(error):
        match cause:
            case SaslAuthenticationFailed():
                said = str(cause).rpartition("SaslAuthenticationFailed: ")[2]
                return (
                    f"{ENV_PREFIX}SASL_PASSWORD: Kafka at {address} refuses the user {settings.sasl_username} "
                    f"({ENV_PREFIX}SASL_USERNAME) with this password: {said}"
                )
            case UnsupportedSaslMechanismError():
                return f"{ENV_PREFIX}SASL_MECHANISM: Kafka at {address} does not take {settings.sasl_mechanism}"
            case IllegalSaslStateError():
                return _wrong_protocol(settings, f"the listener of Kafka at {address} has no SASL")
            case ssl.SSLCertVerificationError():
                if cause.verify_code in _OTHER_NAME:
                    return f"{ENV_PREFIX}BOOTSTRAP: Kafka at {address} has another name: {cause.verify_message}"
                return (
                    f"{ENV_PREFIX}SSL_CAFILE: the certificate of Kafka at {address} cannot be trusted: "
                    f"{cause.verify_message}"
                )
            case ssl.SSLError(reason=str(reason)):
                if reason in _NO_TLS:
                    return _wrong_protocol(settings, f"the listener of Kafka at {address} has no TLS")
                if "ALERT" in reason and any(word in reason for word in _CERTIFICATE_ALERTS):
                    return _client_certificate(settings, address, reason)
    return None


def closes_at_once(error: BaseException) -> bool:
    """Whether the broker took the connection and closed it: it does so to a client that speaks another protocol."""
    return any(isinstance(cause, EOFError | ConnectionResetError) for cause in _causes(error))


def _wrong_protocol(settings: Settings, found: str) -> str:
    return f"{ENV_PREFIX}SECURITY_PROTOCOL: {found}, is {settings.security_protocol}"


def _client_certificate(settings: Settings, address: str, reason: str) -> str:
    alert = reason.partition("ALERT_")[2].lower().replace("_", " ")
    if settings.ssl_certfile is None:
        return f"{ENV_PREFIX}SSL_CERTFILE: must be set, Kafka at {address} asks for a client certificate ({alert})"
    return f"{ENV_PREFIX}SSL_CERTFILE: Kafka at {address} refuses the client certificate ({alert})"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
