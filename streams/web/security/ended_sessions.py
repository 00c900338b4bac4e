"""Sessions that somebody has ended, as far as this worker has heard: a copy of their cookie is worth nothing any more.

Pure, and bounded: an id is kept until its session would be over in any case. Where more were ended than can be kept,
the older half is forgotten by a line through time: all that began before it is over, so more is ended than was asked
for, and never less.
"""

from __future__ import annotations

from typing import Final

from streams.web.security.sessions import Session

IDS_MAX: Final = 50_000  # some 7 MB


class EndedSessions:
    """`whole_ms`: the longest that a session lasts. `known`: whether all that was ended before is in here."""

    def __init__(self, whole_ms: int, ids_max: int = IDS_MAX) -> None:
        self._whole_ms = whole_ms
        self._ids_max = ids_max
        self._ended_at: dict[str, int] = {}
        self._all_before = 0
        self.known = False

    def __len__(self) -> int:
        return len(self._ended_at)

    def end(self, session_id: str, at: int) -> None:
        """Note that a session was ended (milliseconds since the epoch). Twice is as once."""
        first = next(iter(self._ended_at), None)
        if first is not None and at - self._ended_at[first] > self._whole_ms:
            del self._ended_at[first]  # it is over in any case; one for each that comes keeps this small
        self._ended_at.setdefault(session_id, at)
        if len(self._ended_at) > self._ids_max:
            self._forget_half()

    def _forget_half(self) -> None:
        in_order = sorted(self._ended_at.items(), key=lambda item: item[1])
        half = len(in_order) // 2
        self._all_before = max(self._all_before, in_order[half - 1][1])
        self._ended_at = dict(in_order[half:])

    def has(self, session: Session) -> bool:
        """Tell whether a session was ended."""
        return session.session_id in self._ended_at or session.begun_at < self._all_before
