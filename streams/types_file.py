"""The notification types of an installation, from one TOML file: `[defaults]`, then a table `[types.<name>]` each."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails

from schemas.keys import check_type
from schemas.poison import PoisonError
from streams.policies.quiet_hours import read_quiet_hours
from streams.policies.rendering import TemplateError, compile_source, known_locale
from streams.time_zones import known_zone
from streams.violations import sentence

DAY_SECONDS = 86_400
USERS_ZONE = "user"
CAPS_MAX = 8  # each is looked at before each claim


class TypesFileError(Exception):
    """The types file cannot be used; one line for each mistake: file, table, key, what must be."""


class TypePolicy(BaseModel):
    """What holds for one notification type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    window_seconds: int = Field(
        3600, ge=1, le=DAY_SECONDS, description="The sliding window: time from one send to the next is at least this."
    )
    limit: int = Field(1, ge=1, le=100, description="Sends in any one window.")
    send_within_seconds: float = Field(
        300, gt=0, le=DAY_SECONDS, description="How long an admitted notification may be tried, retries included."
    )
    ttl_seconds: int = Field(
        3600,
        ge=0,
        description="How long a provider may keep it for a device that is off; 0: not at all. At most the window, "
        "which is also the default.",
    )
    attempts: int = Field(
        5,
        ge=1,
        le=100,
        description="Attempts that are certainly not sent before it is given up. Where no connection came about or the "
        "provider asked to be asked later, it waits instead, for as long as `wait_seconds_max` lets it.",
    )
    backoff_seconds_first: float = Field(1.0, gt=0, le=3600, description="Wait before the second attempt; it doubles.")
    backoff_seconds_max: float = Field(60.0, gt=0, le=DAY_SECONDS, description="The longest wait between two attempts.")
    on_unknown: Literal["drop", "resend"] = Field(
        "drop",
        description="When a push may have been sent: `drop` counts it as sent; `resend` sends it again under the same "
        "collapse id, so that the device shows one.",
    )
    title: str = Field("", description="Title (Jinja2), for events that bring none, where no template gives one.")
    body: str = Field("", description="Text (Jinja2), for events that bring none, where no template gives one.")
    locale: str | None = Field(
        None, description="The locale (BCP 47) of users whose own is not known. Unset: `RINGONCE_LOCALE`."
    )
    prerender: bool = Field(
        False,
        description="Render title and body when `POST /notifications` or `ringonce publish` takes an event, in the "
        "type's locale, and refuse one that lacks a value.",
    )
    background: bool = Field(
        False, description="It shows nothing: no title, no body, only data for the app, unless an event brings a text."
    )
    wait_seconds_max: int = Field(
        DAY_SECONDS,
        ge=0,
        le=8 * DAY_SECONDS,
        description="How long it may wait, beyond `send_within_seconds`, for a provider that fails, that asks to be "
        "asked later, or that is behind. Its slot is free meanwhile, and it contends for it anew; then it ends as "
        "EXPIRED. 0: not beyond `send_within_seconds`.",
    )
    priority: Literal["critical", "normal", "bulk"] = Field(
        "normal",
        description="`critical` is sent before `normal`, and both before `bulk`, which waits in a topic of its own.",
    )
    urgent: bool = Field(True, description="Wake the device up; false: when it is awake anyway.")
    devices: Literal["all", "newest"] = Field("all", description="All devices of the user, or the newest one only.")
    profile: Literal["none", "optional", "required"] = Field(
        "optional",
        description="Whether its texts, and the user's zone and locale, need the user's profile: `none`, it is not "
        "looked up; `optional`, a user may have none; `required`, a user without one is not told, and a dead letter "
        "says so.",
    )
    profile_wait_seconds: float = Field(
        30.0,
        ge=0,
        le=DAY_SECONDS,
        description="How long after its admission it waits for a user service that does not answer; at most half of "
        "`send_within_seconds`.",
    )
    on_missing_profile: Literal["fallback", "dead"] | None = Field(
        None,
        description="When the user service cannot tell whether there is a profile: `fallback`, it is sent with the "
        "defaults of its templates; `dead`, it becomes a dead letter. Unset: `dead` where a profile is required, else "
        "`fallback`.",
    )
    time_zone: str | None = Field(
        None, description="The zone (IANA) of users who name none. Unset: `RINGONCE_TIME_ZONE`."
    )
    quiet_hours: list[str] = Field(
        [],
        description="When it is not sent, beside the user's own quiet hours, but held until they end: `22:00-07:00`, "
        "`sat,sun 00:00-09:00`.",
    )
    quiet_hours_zone: str = Field(
        "user", description="The zone that these quiet hours are in: an IANA name, or `user` for the user's own."
    )
    ignore_quiet_hours: bool = Field(False, description="Send it in the user's quiet hours too: a code to log in with.")
    hold_seconds_max: int = Field(
        DAY_SECONDS,
        ge=1,
        le=8 * DAY_SECONDS,
        description="Quiet hours, or a cap without room, that last for longer than this, from when it would have been "
        "sent, end it as EXPIRED.",
    )
    counts_for_cap: bool = Field(True, description="It takes a place of the user's caps.")
    ignores_cap: bool = Field(False, description="It is sent without room in the user's caps: a code to log in with.")
    on_cap: Literal["suppress", "defer"] = Field(
        "suppress",
        description="Without room in the user's caps: `suppress` drops it; `defer` holds it until there is room.",
    )

    @field_validator("title", "body")
    @classmethod
    def _template(cls, source: str) -> str:
        try:
            compile_source(source)
        except TemplateError as error:
            raise ValueError(f"is not a template: {error}") from None
        return source

    @field_validator("locale")
    @classmethod
    def _locale(cls, tag: str | None) -> str | None:
        return None if tag is None else known_locale(tag)

    @field_validator("time_zone", "quiet_hours_zone")
    @classmethod
    def _zone(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is None or (name == USERS_ZONE and info.field_name == "quiet_hours_zone"):
            return name
        return known_zone(name)

    @field_validator("quiet_hours")
    @classmethod
    def _quiet_hours(cls, stretches: list[str]) -> list[str]:
        for text in stretches:
            read_quiet_hours(text)
        return stretches

    @model_validator(mode="before")
    @classmethod
    def _ttl_defaults_to_the_window(cls, values: Any) -> Any:
        if isinstance(values, dict) and "window_seconds" in values:
            return {"ttl_seconds": values["window_seconds"], **values}
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.ttl_seconds > self.window_seconds:
            raise ValueError(f"ttl_seconds: must be at most the window ({self.window_seconds}), is {self.ttl_seconds}")
        if self.backoff_seconds_first > self.backoff_seconds_max:
            raise ValueError(
                f"backoff_seconds_first: must be at most backoff_seconds_max ({self.backoff_seconds_max:g}), "
                f"is {self.backoff_seconds_first:g}"
            )
        return self


class CapRule(BaseModel):
    """A cap: what one user is sent at most, over all types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    limit: int = Field(ge=1, le=100, description="Notifications of one user in any one window, over all types.")
    window_seconds: int = Field(
        ge=1, le=7 * DAY_SECONDS, description="The sliding window: it runs from the send, like that of a type."
    )


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    allow_unknown: bool = True
    defaults: dict[str, Any] = Field(default_factory=dict)
    types: dict[str, dict[str, Any]] = Field(default_factory=dict)
    cap: list[CapRule] = Field(default_factory=list, max_length=CAPS_MAX)

    @field_validator("cap", mode="before")
    @classmethod
    def _one_cap_is_a_table(cls, value: Any) -> Any:
        if not isinstance(value, dict | list):
            raise ValueError(f"must be a table, is {value}")
        return [value] if isinstance(value, dict) else value

    @field_validator("cap")
    @classmethod
    def _windows_differ(cls, caps: list[CapRule]) -> list[CapRule]:
        windows = [cap.window_seconds for cap in caps]
        for window in windows:
            if windows.count(window) > 1:
                raise ValueError(f"two caps have the same window, {window} s: keep the one that is meant")
        return caps


@dataclass(frozen=True, slots=True)
class NotificationTypes:
    """All types; see `policy`. `caps` hold for each user over all of them."""

    policies: Mapping[str, TypePolicy]
    defaults: TypePolicy
    allow_unknown: bool
    caps: tuple[CapRule, ...] = ()

    def policy(self, type_name: str) -> TypePolicy | None:
        """What holds for a type. One that the file does not name gets the defaults, or None where the file says
        `allow_unknown = false`."""
        policy = self.policies.get(type_name)
        return self.defaults if policy is None and self.allow_unknown else policy

    @classmethod
    def load(cls, path: Path | None = None) -> NotificationTypes:
        """The types of a file; None: the sample types. Raises TypesFileError, one line for each mistake."""
        if path is None:
            with as_file(files("streams").joinpath("types.toml")) as built_in:
                return cls.load(built_in)
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise TypesFileError(f"{path}: cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise TypesFileError(f"{path}: is not TOML: {error}") from error
        return cls.parse(values, str(path))

    @classmethod
    def parse(cls, values: Mapping[str, Any], source: str) -> NotificationTypes:
        """The types of a document that was read already; `source` names it in errors."""
        try:
            document = _Document.model_validate(values)
        except ValidationError as error:
            raise TypesFileError("\n".join(_line(source, "", details) for details in error.errors())) from None
        lines: list[str] = []
        defaults = _policy(document.defaults, source, "defaults", lines, {})
        policies: dict[str, TypePolicy] = {}
        for name, table in document.types.items():
            try:
                check_type(name.encode())
            except PoisonError as error:
                lines.append(f"{source}: [types]: {error.reason}")
            policies[name] = _policy(table, source, f"types.{name}", lines, document.defaults)
        if lines:
            raise TypesFileError("\n".join(lines))
        return cls(MappingProxyType(policies), defaults, document.allow_unknown, tuple(document.cap))


def _policy(
    table: Mapping[str, Any], source: str, name: str, lines: list[str], defaults: Mapping[str, Any]
) -> TypePolicy:
    """The policy of one table over the defaults; what is wrong in `table` itself is added to `lines`."""
    try:
        return TypePolicy.model_validate({**defaults, **table})
    except ValidationError as error:
        for details in error.errors():
            if not details["loc"] or str(details["loc"][0]) in table:  # The rest is said of [defaults] already.
                lines.append(_line(source, name, details))
        return TypePolicy()


def _line(source: str, table: str, details: ErrorDetails) -> str:
    """`types.toml: [types.chat] window_seconds: must be at least 1, is 0`."""
    # The place of a cap in the list of caps says nothing to a person: its table has no number.
    *tables, key = [str(part) for part in details["loc"] if not isinstance(part, int)] or [""]
    where = ".".join(part for part in (table, *tables) if part)
    said = sentence(details)
    if details["type"] == "extra_forbidden":
        known = (CapRule if where == "cap" else TypePolicy if where else _Document).model_fields
        close = difflib.get_close_matches(key, known, n=1)
        said = "no such key" + (f"; did you mean {close[0]}?" if close else "")
    return f"{source}: {f'[{where}] ' if where else ''}{f'{key}: ' if key else ''}{said}"
