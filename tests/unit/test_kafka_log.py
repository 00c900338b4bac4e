"""What aiokafka says at DEBUG: everything but what it logs in with."""

from __future__ import annotations

import logging

import pytest
from aiokafka.protocol.admin import SaslAuthenticateRequest_v1, SaslHandShakeRequest_v1

from streams.settings import kafka_client_options, load_settings


def test_the_password_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    """The request that holds it is passed over, and nothing else is, from the first client on."""
    kafka_client_options(load_settings(bootstrap="127.0.0.1:9"))
    log = logging.getLogger("aiokafka.conn")
    with caplog.at_level(logging.DEBUG, "aiokafka.conn"):
        for request in (SaslHandShakeRequest_v1("PLAIN"), SaslAuthenticateRequest_v1(b"\0ringonce\0hunter2")):
            log.debug("Request to %s:%d %d: %s", "127.0.0.1", 9, 1, request)
    assert "SaslHandShakeRequest" in caplog.text
    assert "hunter2" not in caplog.text
