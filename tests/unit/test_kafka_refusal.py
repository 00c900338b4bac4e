"""Which failures to connect to Kafka are a wrong setting, and which may be a broker that is only not there yet."""

from __future__ import annotations

import ssl

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.kafka_refusal import closes_at_once, refusal
from streams.settings import load_settings


def _tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


def _untrusted(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("error", "setting"),
    [
        (_tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "RINGONCE_SSL_CERTFILE: must be set"),
        (_tls("SSLV3_ALERT_HANDSHAKE_FAILURE"), "RINGONCE_SSL_CERTFILE: must be set"),
        (_tls("TLSV1_ALERT_UNKNOWN_CA"), "RINGONCE_SSL_CERTFILE: must be set"),
        (_tls("WRONG_VERSION_NUMBER"), "RINGONCE_SECURITY_PROTOCOL: the listener of Kafka at k:1 has no TLS, is SSL"),
        (_untrusted(20, "unable to get local issuer certificate"), "RINGONCE_SSL_CAFILE: "),
        (_untrusted(10, "certificate has expired"), "RINGONCE_SSL_CAFILE: "),
        (_untrusted(62, "Hostname mismatch"), "RINGONCE_BOOTSTRAP: Kafka at k:1 has another name: Hostname mismatch"),
    ],
)
def test_a_refusal_names_its_setting(error: Exception, setting: str) -> None:
    """Also where the client wraps the cause in an error of its own."""
    wrapped = KafkaConnectionError("closed")
    wrapped.__cause__ = error
    settings = load_settings(bootstrap="k:1", security_protocol="SSL")
    assert str(refusal(error, settings, "k:1")).startswith(setting)
    assert refusal(wrapped, settings, "k:1") == refusal(error, settings, "k:1")


@pytest.mark.parametrize(
    "error",
    [OSError(111, "refused"), TimeoutError(), KafkaConnectionError("closed"), _tls("UNEXPECTED_EOF_WHILE_READING")],
)
def test_what_a_broker_that_stops_does_is_no_refusal(error: Exception) -> None:
    """It is waited for: a broker on its way down or up closes connections, in the middle of TLS too."""
    assert refusal(error, load_settings(bootstrap="k:1", security_protocol="SSL"), "k:1") is None
    assert not closes_at_once(error)
