"""The published format of FCM messages, and a check against it as strict as Google's JSON front end.

Source: Firebase, "REST Resource: projects.messages" and the v1 discovery document. Field names are taken in
lowerCamelCase and in the original snake_case, as the protobuf JSON mapping demands of parsers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

STRING: Final = "string"
BOOL: Final = "bool"
INT32: Final = "int32"
FLOAT: Final = "float"
DURATION: Final = "duration"
TIMESTAMP: Final = "timestamp"
STRINGS: Final = "repeated string"
DURATIONS: Final = "repeated duration"
MAP: Final = "map<string, string>"
STRUCT: Final = "struct"

Enum = frozenset[str]
Format = Mapping[str, "str | Enum | Format"]

TTL_SECONDS_MAX = 2_419_200

_ANALYTICS = {"analytics_label": STRING}
_COLOR = {"red": FLOAT, "green": FLOAT, "blue": FLOAT, "alpha": FLOAT}
_LIGHT: Format = {"color": _COLOR, "light_on_duration": DURATION, "light_off_duration": DURATION}
_PRIORITIES = ("PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH")
_ANDROID_NOTIFICATION: Format = {
    "title": STRING,
    "body": STRING,
    "icon": STRING,
    "color": STRING,
    "sound": STRING,
    "tag": STRING,
    "click_action": STRING,
    "body_loc_key": STRING,
    "body_loc_args": STRINGS,
    "title_loc_key": STRING,
    "title_loc_args": STRINGS,
    "channel_id": STRING,
    "ticker": STRING,
    "sticky": BOOL,
    "event_time": TIMESTAMP,
    "local_only": BOOL,
    "notification_priority": frozenset({*_PRIORITIES, "PRIORITY_MAX"}),
    "default_sound": BOOL,
    "default_vibrate_timings": BOOL,
    "default_light_settings": BOOL,
    "vibrate_timings": DURATIONS,
    "visibility": frozenset({"VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"}),
    "notification_count": INT32,
    "light_settings": _LIGHT,
    "image": STRING,
    "bypass_proxy_notification": BOOL,
    "proxy": frozenset({"PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"}),
}
_MESSAGE: Format = {
    "name": STRING,
    "data": MAP,
    "notification": {"title": STRING, "body": STRING, "image": STRING},
    "android": {
        "collapse_key": STRING,
        "priority": frozenset({"NORMAL", "HIGH"}),
        "ttl": DURATION,
        "restricted_package_name": STRING,
        "data": MAP,
        "notification": _ANDROID_NOTIFICATION,
        "fcm_options": _ANALYTICS,
        "direct_boot_ok": BOOL,
        "bandwidth_constrained_ok": BOOL,
        "restricted_satellite_ok": BOOL,
    },
    "webpush": {
        "headers": MAP,
        "data": MAP,
        "notification": STRUCT,
        "fcm_options": {"link": STRING, "analytics_label": STRING},
    },
    "apns": {
        "headers": MAP,
        "payload": STRUCT,
        "fcm_options": {"analytics_label": STRING, "image": STRING},
        "live_activity_token": STRING,
    },
    "fcm_options": _ANALYTICS,
    "fid": STRING,
    "token": STRING,
    "topic": STRING,
    "condition": STRING,
}
SEND_REQUEST: Format = {"validate_only": BOOL, "message": _MESSAGE}

_DURATION = re.compile(r"-?\d+(\.\d{1,9})?s", re.ASCII)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_CAPITAL = re.compile(r"[A-Z]")


# A sender has a few dozen names; a bound, because it may send anything.
@lru_cache(maxsize=1024)
def snake_case(name: str) -> str:
    """The original field name for either form of it."""
    return _CAPITAL.sub(lambda capital: "_" + capital.group().lower(), name)


def duration_seconds(value: str) -> float:
    """The seconds of a duration such as `3600s` that the format has accepted."""
    return float(value[:-1])


def normalize(body: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The send request in snake_case, and what is wrong with it: (field, description) as Google words them."""
    violations: list[tuple[str, str]] = []
    if not isinstance(body, dict):
        return {}, [("", "Invalid JSON payload received. Expected an object.")]
    return _message(body, SEND_REQUEST, "", violations), violations


def _message(value: dict[str, Any], format_: Format, path: str, violations: list[tuple[str, str]]) -> dict[str, Any]:
    normal: dict[str, Any] = {}
    for name, item in value.items():
        original = snake_case(name)
        kind = format_.get(original)
        if kind is None:
            at = f" at '{path}'" if path else ""
            unknown = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
            violations.append((path, unknown))
            continue
        if item is None:
            # null stands for the default value, in every field (protobuf JSON mapping).
            continue
        inner = f"{path}.{original}" if path else original
        if isinstance(kind, Mapping):
            if isinstance(item, dict):
                normal[original] = _message(item, kind, inner, violations)
            else:
                violations.append((inner, _invalid(inner, "type.googleapis.com/google.firebase.fcm.v1", item)))
        else:
            _field(item, kind, inner, violations)
            normal[original] = item
    return normal


def _field(item: Any, kind: str | Enum, path: str, violations: list[tuple[str, str]]) -> None:
    if isinstance(kind, frozenset):
        if not (isinstance(item, str) and item.upper() in kind):
            violations.append((path, _invalid(path, "TYPE_ENUM", item)))
    elif kind == MAP:
        if not isinstance(item, dict):
            violations.append((path, _invalid(path, "Map", item)))
            return
        for index, entry in enumerate(item.values()):
            if not isinstance(entry, str):
                at = f"{path}[{index}].value"
                violations.append((at, _invalid(at, "TYPE_STRING", entry)))
    elif kind in (STRINGS, DURATIONS):
        if not isinstance(item, list):
            violations.append((path, f'Invalid value at "{path}": Proto field is repeating, must start list.'))
            return
        for index, entry in enumerate(item):
            _field(entry, STRING if kind == STRINGS else DURATION, f"{path}[{index}]", violations)
    elif not _SCALARS[kind](item):
        violations.append((path, _invalid(path, _TYPE_NAMES.get(kind, "TYPE_STRING"), item)))


def _invalid(path: str, type_name: str, item: Any) -> str:
    return f"Invalid value at '{path}' ({type_name}), {json.dumps(item)}"


_SCALARS = {
    STRING: lambda item: isinstance(item, str),
    BOOL: lambda item: isinstance(item, bool),
    INT32: lambda item: isinstance(item, int) and not isinstance(item, bool),
    FLOAT: lambda item: isinstance(item, int | float) and not isinstance(item, bool),
    DURATION: lambda item: isinstance(item, str) and _DURATION.fullmatch(item) is not None,
    TIMESTAMP: lambda item: isinstance(item, str) and _TIMESTAMP.fullmatch(item) is not None,
    STRUCT: lambda item: isinstance(item, dict),
}
_TYPE_NAMES = {
    BOOL: "TYPE_BOOL",
    INT32: "TYPE_INT32",
    FLOAT: "TYPE_FLOAT",
    DURATION: "type.googleapis.com/google.protobuf.Duration",
    TIMESTAMP: "type.googleapis.com/google.protobuf.Timestamp",
    STRUCT: "type.googleapis.com/google.protobuf.Struct",
}
