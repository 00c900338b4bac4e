"""Who may call the web views, and how much of them: `RINGONCE_API_…`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr


def _hosts(names: str) -> str:
    for name in names.split(","):
        name = name.strip()
        if names and (not name or any(each in name for each in "/:@ ?#")):
            raise ValueError(f"must be host names with commas between, without ports, is {names}")
    return names


class ApiSettings(BaseModel):
    """The front, as far as it guards itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys_file: Path | None = Field(
        None,
        description="The file of API keys that `ringonce keys` writes; workers read it again when it changes. Unset: "
        "no keys, and everything is open to whoever reaches the worker, which must then listen on loopback.",
    )
    key: SecretStr | None = Field(
        None, description="The API key that commands send which ask a worker; workers have no need of it."
    )
    open: bool = Field(
        False,
        description="Without a file of API keys, let a worker listen beyond loopback all the same, open to everybody "
        "who reaches it: for a network of its own, where nobody else is.",
    )
    allowed_hosts: Annotated[str, AfterValidator(_hosts)] = Field(
        "",
        description="Host names, with commas between, by which an open worker may be called, besides addresses, "
        "`localhost` and its own name: a web page elsewhere cannot reach it under a name of its own.",
    )
    proxies: int = Field(
        0,
        ge=0,
        le=10,
        description="So many proxies of yours stand before each worker; the last but so many of `X-Forwarded-For` is "
        "the caller's address. 0: who connects is the caller.",
    )
    metrics_open: bool = Field(
        False, description="Let everybody read `/metrics`, also beyond loopback; else it needs the scope read there."
    )
    session_idle_seconds: int = Field(
        1800, ge=60, le=86_400, description="A session of the page ends when nothing was asked for in it for so long."
    )
    session_seconds_max: int = Field(
        43_200, ge=60, le=7 * 86_400, description="And after so long in any case; then the key is asked for again."
    )
    per_second_max: float = Field(
        2_000.0,
        ge=0,
        le=1_000_000,
        description="Requests per second that one worker takes of one API key; twice as many at once. 0: no limit.",
    )
    anonymous_per_second_max: float = Field(
        50.0,
        ge=0,
        le=1_000_000,
        description="The same of one address without a key, where keys are asked for. 0: no limit.",
    )
    failed_per_minute_max: float = Field(
        10.0,
        ge=0,
        le=60_000,
        description="Refused keys and log-ins per minute and address that are answered and written to the audit log; "
        "those beyond are told to wait. 0: no limit.",
    )
    requests_max: int = Field(500, ge=1, le=100_000, description="Requests that one worker has under way at most.")
    connections_max: int = Field(2_000, ge=10, le=100_000, description="Connections that one worker accepts at most.")
    read_seconds_max: float = Field(
        30.0, ge=1, le=600, description="How long the head of a request may take, and its body."
    )
