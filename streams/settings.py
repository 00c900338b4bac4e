"""The settings of a worker: from the environment, prefix `RINGONCE_`, checked as a whole before anything starts."""

from __future__ import annotations

import difflib
import os
import ssl
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    DirectoryPath,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.api_settings import ApiSettings
from streams.history.address import read_address
from streams.kafka_log import keep_credentials_out_of_the_log
from streams.logs import Level, LogFormat
from streams.policies.rendering import known_locale
from streams.profiles.address import check_url_template
from streams.provider_settings import ApnsSettings, FcmSettings, WebhookSettings, WebPushSettings
from streams.setting_error import ENV_PREFIX, MissingSettingError, SettingsError
from streams.time_zones import known_zone
from streams.tracing.headers import read_otlp_headers
from streams.violations import sentence

__all__ = ["Settings", "SettingsError", "kafka_client_options", "load_settings"]

# Read elsewhere: the cache of the embedded broker, and what only tests, benchmarks and chaos runs know.
_OTHER_VARIABLES = (
    "RINGONCE_CACHE",
    "RINGONCE_TEST_",
    "RINGONCE_BENCH_",
    "RINGONCE_CHAOS_",
    "RINGONCE_DEMO_",
    "RINGONCE_WORKER_",
)
# Kafka's rule for topic names; a prefix and an app id are the start of one.
_NAME_PATTERN = r"^[A-Za-z0-9._-]*$"

_GROUPS: dict[str, type[BaseModel]] = {
    "apns": ApnsSettings,
    "fcm": FcmSettings,
    "webpush": WebPushSettings,
    "webhook": WebhookSettings,
    "api": ApiSettings,
}


def _bootstrap(addresses: str) -> str:
    for address in addresses.split(","):
        host, colon, port = address.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65_536):
            raise ValueError(f"must be host:port, or several with commas between, is {addresses}")
    return addresses


def _registry_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must be a URL that starts with http:// or https://")
    if "@" in url:
        raise ValueError("must not contain a user or a password: they have settings of their own")
    return url.rstrip("/")


def _otlp_endpoint(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must be a URL that starts with http:// or https://")
    return url


def _otlp_headers(text: SecretStr) -> SecretStr:
    read_otlp_headers(text.get_secret_value())
    return text


def _history_url(url: SecretStr) -> SecretStr:
    read_address(url.get_secret_value())
    return url


class Settings(BaseSettings):
    """All settings, frozen. Make one with `load_settings`, whose errors are for people."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        # An environment variable is a text; nothing here is a JSON list or table.
        enable_decoding=False,
    )

    bootstrap: Annotated[str, AfterValidator(_bootstrap)] | None = Field(
        None, description="Kafka's address, `host:port,…`. Unset: the demo starts a broker of its own."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How Kafka is spoken to."
    )
    ssl_cafile: FilePath | None = Field(None, description="CA certificates (PEM) for Kafka; unset: the system's.")
    ssl_certfile: FilePath | None = Field(None, description="Client certificate (PEM) for Kafka.")
    ssl_keyfile: FilePath | None = Field(None, description="Key of the client certificate (PEM).")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism, for SASL_PLAINTEXT and SASL_SSL."
    )
    sasl_username: str | None = Field(None, description="SASL user.")
    sasl_password: SecretStr | None = Field(None, description="SASL password.")

    app_id: str = Field(
        "ringonce",
        pattern=_NAME_PATTERN,
        min_length=1,
        max_length=100,
        description="Name of the system: consumer group, transactional ids and changelogs start with it.",
    )
    topic_prefix: str = Field(
        "", pattern=_NAME_PATTERN, max_length=100, description="Put before each topic, so that systems share a cluster."
    )
    partitions: int = Field(
        12, ge=1, le=1000, description="Partitions of each topic. Set when they are created, and for good."
    )
    replication_factor: int = Field(1, ge=1, le=10, description="Copies of each partition; 3 in production.")
    session_timeout_seconds: float = Field(
        10.0, ge=1, le=300, description="A worker that is silent for this long loses its partitions."
    )
    heartbeat_seconds: float = Field(3.0, ge=0.1, le=100, description="Time between two heartbeats of a worker.")
    transaction_timeout_seconds: float = Field(
        30.0, ge=1, le=900, description="Kafka aborts the transaction of a worker that is silent for this long."
    )

    schema_registry_url: Annotated[str, AfterValidator(_registry_url)] | None = Field(
        None, description="Schema registry (Confluent API). Unset: Avro single-object encoding."
    )
    schema_registry_username: str | None = Field(None, description="User for the schema registry.")
    schema_registry_password: SecretStr | None = Field(None, description="Password for the schema registry.")

    user_service_url: Annotated[str, AfterValidator(check_url_template)] | None = Field(
        None,
        description="Where profiles are asked for that are not on the topic `profiles`: a URL with `{user_id}` in it. "
        "Unset: nowhere.",
    )
    user_service_allow_http: bool = Field(
        False, description="Let that URL start with http://: profiles and the token are then open to the network."
    )
    user_service_token_file: FilePath | None = Field(
        None, description="A file with the bearer token for it; read again when the token is refused."
    )
    user_service_ca_file: FilePath | None = Field(
        None, description="CA certificates (PEM) that it is checked against; unset: the system's."
    )
    user_service_timeout_seconds: float = Field(2.0, ge=0.05, le=10, description="Longest wait for one answer of it.")
    user_service_attempts: int = Field(
        3,
        ge=1,
        le=5,
        description="Requests for one lookup at most: again after a failed connection, a 5xx, or a 429 that says when.",
    )
    user_service_requests_max: int = Field(
        20, ge=1, le=200, description="Requests to it that one worker has under way at most."
    )
    user_service_cache_seconds: float = Field(
        300.0, ge=0, le=86_400, description="How long a profile is remembered; 0: not at all."
    )
    user_service_missing_cache_seconds: float = Field(
        60.0, ge=0, le=86_400, description="How long it is remembered that a user has none, or one that is of no use."
    )
    user_service_cache_megabytes: int = Field(
        32, ge=1, le=4096, description="What one worker remembers of them at most."
    )
    user_service_breaker_failures: int = Field(
        5,
        ge=1,
        le=1000,
        description="After so many failures in a row, or when half of its answers are failures, it is left alone for a "
        "second, and twice as long each time that it fails again.",
    )
    user_service_breaker_seconds_max: float = Field(
        30.0, ge=1, le=3600, description="How long it is left alone at most, until one request tries it again."
    )

    types_file: FilePath | None = Field(None, description="Notification types (TOML). Unset: the sample types.")
    templates_dir: DirectoryPath | None = Field(
        None, description="Folder of templates, `<type>.toml` each, read again when they change. Unset: none."
    )
    templates_wait_seconds: float = Field(
        30.0, gt=0, le=600, description="How long a worker may take at its start to read the topic `templates`."
    )
    locale: Annotated[str, AfterValidator(known_locale)] = Field(
        "en", description="The locale (BCP 47) of users who name none, where their notification's type names none."
    )
    time_zone: Annotated[str, AfterValidator(known_zone)] = Field(
        "UTC", description="The zone (IANA) of users who name none, where their notification's type names none either."
    )
    data_dir: Path = Field(Path(".ringonce"), description="Local copies of the tables; may be lost, Kafka has them.")
    standby_replicas: int = Field(
        1,
        ge=0,
        le=5,
        description="So many other workers follow the state of each partition, so that taking it over is quick.",
    )
    web_host: str = Field("127.0.0.1", min_length=1, description="Where the web views and the gateway listen.")
    web_advertised_host: str | None = Field(
        None,
        min_length=1,
        description="The name by which other workers reach the web views. Unset: the host above; where that is all "
        "addresses (`0.0.0.0`), the address that this machine reaches Kafka from.",
    )
    web_port: int = Field(6066, ge=0, le=65_535, description="Their port; 0: any free one.")

    cluster_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="What workers sign with, the same for all: at least 32 characters of chance. Unset: made once for "
        "this machine, beside the file of API keys.",
    )
    api: ApiSettings = ApiSettings()

    clock_skew_seconds_max: float = Field(
        5.0,
        ge=0,
        le=60,
        description="By how much the clocks of two workers may differ. One that is off from the broker's by more than "
        "half of it stops sending.",
    )
    grace_seconds: float = Field(
        30.0,
        ge=1,
        le=600,
        description="Added to each hold of a slot: request, clock skew, a paused process.",
    )
    release_per_second_max: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="Scheduled notifications released per second, over all partitions and workers; each partition "
        "has its equal share. 0: no limit.",
    )
    broadcast_per_second: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Users told per second by a broadcast that names no pace of its own, over all partitions and "
        "workers; each partition has its equal share.",
    )
    deliver_in_flight: int = Field(
        1000, ge=1, le=100_000, description="Pushes that one worker has under way at most, to each provider."
    )
    devices_per_user_max: int = Field(
        100,
        ge=1,
        le=1000,
        description="Devices that one user may register; where there are more, those registered first give way.",
    )
    dead_letters_per_minute_max: float = Field(
        6_000.0,
        ge=0,
        le=10_000_000,
        description="Dead letters per minute; each stage has its equal share on each partition, and takes nothing more "
        "when that is used up, so that a bad deployment does not drain a topic into them. 0: no limit.",
    )
    stories_hours: float = Field(
        24.0,
        ge=0,
        le=168,
        description="For so long a worker can tell how each notification came to its end; at most as long as "
        "`statuses` is kept. 0: not at all.",
    )
    history: Literal["off", "worker"] = Field(
        "off",
        description="`worker`: this worker keeps the history of every status itself, for small installations. "
        "`off`: `ringonce history` does, where one runs.",
    )
    log_format: LogFormat = Field(
        "human",
        description="One line for each record, for people or as JSON: [logs.md](logs.md).",
    )
    log_level: Level = Field("WARNING", description="The least level that is written; `--log-level` wins.")
    otlp_endpoint: Annotated[str, AfterValidator(_otlp_endpoint)] | None = Field(
        None,
        description="Where traces are exported to, OTLP over HTTP: `http://127.0.0.1:4318`. Unset: no traces are made, "
        "which costs nothing. Needs the extra `otel`.",
    )
    otlp_headers: Annotated[SecretStr, AfterValidator(_otlp_headers)] | None = Field(
        None, description="Headers for it, `name=value,…`, such as a token."
    )
    trace_ratio: float = Field(
        0.01,
        ge=0,
        le=1,
        description="The part of the traces that is kept, of those that nobody else has begun; one that comes with "
        "`traceparent` is kept as that says.",
    )
    history_url: Annotated[SecretStr, AfterValidator(_history_url)] | None = Field(
        None,
        description="Where every status is kept, and searched: `postgresql://user:password@host/database` (or what "
        "speaks its protocol), `sqlite:///path` or `sqlite:path`. Unset: `history.db` in the data directory.",
    )
    history_keep_days: int = Field(
        90, ge=1, le=36_500, description="For so many days; what a notification said last counts."
    )
    history_metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="Where `ringonce history` serves `GET /metrics`, on `RINGONCE_WEB_HOST`; 0: any free one. Unset: "
        "nowhere. A worker that keeps the history shows it among its own.",
    )
    provider_ca_file: FilePath | None = Field(
        None, description="CA certificates (PEM) that the providers are checked against; unset: the system's."
    )
    apns: ApnsSettings = ApnsSettings()
    fcm: FcmSettings = FcmSettings()
    webpush: WebPushSettings = WebPushSettings()
    webhook: WebhookSettings = WebhookSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.security_protocol.startswith("SASL"):
            for name in ("sasl_username", "sasl_password"):
                if not getattr(self, name):
                    raise MissingSettingError(name, "security_protocol")
        if self.ssl_certfile and not self.ssl_keyfile:
            raise MissingSettingError("ssl_keyfile", "ssl_certfile")
        if self.ssl_keyfile and not self.ssl_certfile:
            raise MissingSettingError("ssl_certfile", "ssl_keyfile")
        if self.schema_registry_username and not self.schema_registry_password:
            raise MissingSettingError("schema_registry_password", "schema_registry_username")
        for name in ("user_service_token_file", "user_service_ca_file"):
            if getattr(self, name) and not self.user_service_url:
                raise MissingSettingError("user_service_url", name)
        if (self.user_service_url or "").startswith("http:") and not self.user_service_allow_http:
            raise ValueError(
                "RINGONCE_USER_SERVICE_URL: must start with https://, or RINGONCE_USER_SERVICE_ALLOW_HTTP must be true"
            )
        if self.heartbeat_seconds > self.session_timeout_seconds / 3:
            raise ValueError(
                "RINGONCE_HEARTBEAT_SECONDS: must be at most a third of RINGONCE_SESSION_TIMEOUT_SECONDS "
                f"({self.session_timeout_seconds:g}), is {self.heartbeat_seconds:g}"
            )
        if self.grace_seconds < self.request_timeout_seconds_max + self.clock_skew_seconds_max:
            raise ValueError(
                f"RINGONCE_GRACE_SECONDS: must cover a request ({self.request_timeout_seconds_max:g} s) and the clock "
                f"skew ({self.clock_skew_seconds_max:g} s), is {self.grace_seconds:g}"
            )
        return self

    @property
    def request_timeout_seconds_max(self) -> float:
        """The longest time that a request to any provider may take."""
        providers = (self.apns, self.fcm, self.webpush, self.webhook)
        return max(provider.request_timeout_seconds for provider in providers)


def load_settings(**overrides: Any) -> Settings:
    """The settings of the environment, with `overrides` over them. Raises SettingsError, which shows no secret."""
    lines = _mistyped()
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        lines += [_line(details) for details in error.errors()]
    if lines:
        raise SettingsError("\n".join(dict.fromkeys(lines)))
    return settings


def kafka_client_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments that every aiokafka client of ours takes. Raises SettingsError without an address."""
    if settings.bootstrap is None:
        raise SettingsError(f"{ENV_PREFIX}BOOTSTRAP: must be set to Kafka's address, host:port")
    keep_credentials_out_of_the_log()
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    if settings.security_protocol.startswith("SASL") and settings.sasl_password:
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return options


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ssl_cafile)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(f"{ENV_PREFIX}SSL_CAFILE: cannot be read: {error}") from error
    if settings.ssl_certfile:
        try:
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile)
        except (ssl.SSLError, OSError) as error:
            raise SettingsError(f"{ENV_PREFIX}SSL_CERTFILE: cannot be used with its key: {error}") from error
    return context


def setting_names() -> dict[str, Any]:
    """Each environment variable and its pydantic field, in the order of the documentation."""
    names: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        group = _GROUPS.get(name)
        if group is None:
            names[ENV_PREFIX + name.upper()] = field
        else:
            for inner, inner_field in group.model_fields.items():
                names[f"{ENV_PREFIX}{name.upper()}_{inner.upper()}"] = inner_field
    return names


def _mistyped() -> list[str]:
    known = setting_names()
    lines = []
    for name in sorted(os.environ):
        if name.startswith(ENV_PREFIX) and name not in known and not name.startswith(_OTHER_VARIABLES):
            close = difflib.get_close_matches(name, known, n=1)
            lines.append(f"{name}: no such setting" + (f"; did you mean {close[0]}?" if close else ""))
    return lines


def _line(details: Any) -> str:
    location = [str(part) for part in details["loc"]]
    inner = details.get("ctx", {}).get("error")
    if isinstance(inner, MissingSettingError):
        location = [inner.name]
    elif not location:
        return sentence(details)  # A rule over several settings, which names them itself.
    name = ENV_PREFIX + "_".join(location).upper()
    field = setting_names().get(name)
    secret = field is not None and "SecretStr" in str(field.annotation)
    return f"{name}: {sentence(details, secret=secret)}"
