"""Traces as the settings want them: none, which costs nothing, or an exporter and how many are kept."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from streams.setting_error import ENV_PREFIX, SettingsError
from streams.settings import Settings
from streams.tracing.headers import read_otlp_headers
from streams.tracing.tracer import Tracer

if TYPE_CHECKING:
    from streams.tracing.otlp import OtlpSink

PATH = "/v1/traces"


class Tracing(NamedTuple):
    """What makes spans, and what exports them; close it at the end."""

    tracer: Tracer
    sink: OtlpSink


def open_tracing(settings: Settings, version: str) -> Tracing | None:
    """Return the traces of a worker, None: there are none. Raises SettingsError where the extra is not installed."""
    if settings.otlp_endpoint is None:
        return None
    try:
        from streams.tracing.otlp import OtlpSink
    except ImportError as error:
        raise SettingsError(
            f"{ENV_PREFIX}OTLP_ENDPOINT: needs OpenTelemetry ({error.name} is missing): pip install 'ringonce[otel]', "
            "or unset it"
        ) from None
    endpoint = settings.otlp_endpoint.rstrip("/")
    headers = {} if settings.otlp_headers is None else read_otlp_headers(settings.otlp_headers.get_secret_value())
    resource = {
        "service.name": "ringonce",
        "service.namespace": settings.app_id,
        "service.version": version,
        "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
    }
    sink = OtlpSink(endpoint if endpoint.endswith(PATH) else endpoint + PATH, headers, resource)
    return Tracing(Tracer(settings.trace_ratio, sink), sink)
