"""The kinds of problems: what `type` says of an answer, with what a caller does about it. The page /docs shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

URN: Final = "urn:ringonce:problem:"


class Kind(NamedTuple):
    """A kind: its status, its title, and what to do."""

    status: int
    title: str
    advice: str


KINDS: Final[Mapping[str, Kind]] = {
    "invalid": Kind(400, "The request is not valid", "`errors` names each field; nothing was done."),
    "not-json": Kind(400, "The body is not JSON", "UTF-8, no name twice in an object, no NaN; nothing was done."),
    "unauthorized": Kind(401, "A key is needed", "Send `Authorization: Bearer …` with a key that is known."),
    "forbidden": Kind(403, "The key is not enough", "Use a key with the scope that `detail` names."),
    "not-found": Kind(404, "There is none", "What the path names is not there; ask for something else."),
    "no-such-path": Kind(404, "There is no such path", "/openapi.json has all paths."),
    "method": Kind(405, "The path has no such method", "The header Allow names those that it has."),
    "not-acceptable": Kind(406, "Nothing in a type that is accepted", "Accept application/json."),
    "timeout": Kind(408, "The body did not come in time", "Nothing was done; send it again, faster."),
    "conflict": Kind(409, "It contradicts what is there", "Nothing was done; `detail` says what is there."),
    "too-large": Kind(413, "It is more than is taken at once", "Nothing was done; send less at once."),
    "media-type": Kind(415, "The body is of another type", "Send application/json, not compressed; nothing was done."),
    "unprocessable": Kind(422, "It cannot be carried out", "`detail` says why."),
    "busy": Kind(429, "More is under way than can be taken", "Nothing was done; ask again after Retry-After."),
    "mistake": Kind(500, "A mistake of ours", "The worker's log says more; please report it."),
    "kafka": Kind(503, "Kafka has not confirmed", "It may have been done; ask again after Retry-After, as before."),
    "misdirected": Kind(421, "It is called by another name", "Use an address, or a name that the settings allow."),
    "switched-off": Kind(501, "It is switched off", "`detail` names the setting."),
    "behind": Kind(503, "It is not known yet", "Ask again after Retry-After; nothing was done."),
    "moving": Kind(503, "Partitions are moving", "Ask again after Retry-After; nothing was done."),
}
BY_STATUS: Final[Mapping[int, str]] = {kind.status: name for name, kind in reversed(list(KINDS.items()))} | {
    431: "too-large",
    503: "moving",
}
"""The kind of a status, where nothing else says it: the first of its kinds."""
