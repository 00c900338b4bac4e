"""The one table that says for each route who may call it, how large its body may be, and whether it is an admin action.

Scopes are explicit: `admin` holds neither `send` nor `read`. A key that is to do all of it has all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Scope = Literal["read", "send", "admin"]
Access = Scope | Literal["public", "metrics"]
"""`public`: nobody is asked. `metrics`: as `read`, but open on loopback and where the settings say so."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
SMALL: Final = 64 * 1024
BATCH: Final = 4 * 1024 * 1024
SAFE_METHODS: Final = frozenset(("GET", "HEAD"))


@dataclass(frozen=True, slots=True)
class Rule:
    """What one route asks for. `action`: its name in the audit log, for what an admin does; reading is none.

    `bytes_max`: of its body; None: its view reads line by line, and has a bound for each.
    """

    access: Access
    action: str = ""
    bytes_max: int | None = SMALL


PUBLIC: Final = Rule("public")
READ: Final = Rule("read")
SEND: Final = Rule("send")

ROUTES: Final[Mapping[tuple[str, str], Rule]] = {
    ("GET", "/health/live"): PUBLIC,
    ("GET", "/health/ready"): PUBLIC,
    ("GET", "/metrics"): Rule("metrics"),
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/docs"): PUBLIC,
    ("GET", "/docs/{name}"): PUBLIC,
    ("GET", "/admin"): PUBLIC,
    ("GET", "/admin/"): PUBLIC,
    ("GET", "/admin/{version}/{path}"): PUBLIC,
    ("POST", "/session"): PUBLIC,
    ("GET", "/session"): PUBLIC,
    ("DELETE", "/session"): PUBLIC,
    ("GET", "/overview"): READ,
    ("GET", "/slots/{user_id}/{type}"): READ,
    ("GET", "/explain"): READ,
    ("GET", "/history"): READ,
    ("GET", "/history/{user_id}/{type}/{notification_id}"): READ,
    ("POST", "/notifications"): Rule("send", bytes_max=BATCH),
    ("GET", "/notifications/{user_id}/{type}/{notification_id}"): READ,
    ("GET", "/schedule"): READ,
    ("GET", "/schedule/{user_id}/{type}"): READ,
    ("GET", "/schedule/{user_id}/{type}/{notification_id}"): READ,
    ("POST", "/schedule/{user_id}/{type}/{notification_id}/cancel"): SEND,
    ("POST", "/schedule/{user_id}/{type}/{notification_id}/move"): SEND,
    ("GET", "/users/{user_id}/notifications"): READ,
    ("GET", "/users/{user_id}/outlook/{type}"): READ,
    ("GET", "/users/{user_id}/devices"): READ,
    ("PUT", "/users/{user_id}/devices/{device_id}"): SEND,
    ("DELETE", "/users/{user_id}/devices/{device_id}"): SEND,
    ("GET", "/users/{user_id}/preferences"): READ,
    ("PUT", "/users/{user_id}/preferences"): Rule("send", bytes_max=4 * SMALL),
    ("DELETE", "/users/{user_id}/preferences"): SEND,
    ("GET", "/users/{user_id}/profile"): READ,
    ("PUT", "/users/{user_id}/profile"): SEND,
    ("DELETE", "/users/{user_id}/profile"): SEND,
    ("DELETE", "/users/{user_id}"): Rule("admin", "user.erase"),
    ("GET", "/templates"): READ,
    ("GET", "/templates/{type}"): READ,
    ("POST", "/templates/render"): Rule("read", bytes_max=16 * SMALL),  # it sends nothing and changes nothing
    ("GET", "/broadcasts"): READ,
    ("GET", "/broadcasts/{id}"): READ,
    ("POST", "/broadcasts"): Rule("admin", "broadcast.start", BATCH),
    ("POST", "/broadcasts/{id}/users"): Rule("admin", "broadcast.list", None),
    ("POST", "/broadcasts/{id}/pause"): Rule("admin", "broadcast.pause"),
    ("POST", "/broadcasts/{id}/resume"): Rule("admin", "broadcast.resume"),
    ("POST", "/broadcasts/{id}/cancel"): Rule("admin", "broadcast.cancel"),
    ("GET", "/dead-letters"): READ,
    ("GET", "/dead-letters/{place}"): READ,
    ("POST", "/dead-letters/replay"): Rule("admin", "dead-letter.replay"),
    ("POST", "/dead-letters/{place}/replay"): Rule("admin", "dead-letter.replay"),
    ("GET", "/audit-log"): Rule("admin"),
}


def rule_of(method: str, path: str) -> Rule | None:
    """Return the rule of a route, by its path as the router has it; None: it has none, and is refused."""
    return ROUTES.get(("GET" if method == "HEAD" else method, path))
