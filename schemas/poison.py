"""What is said of a record that cannot be read: a code for programs and a sentence for people."""

from __future__ import annotations

from typing import Final, Literal

DeadLetterCode = Literal[
    "BAD_MAGIC",
    "UNKNOWN_SCHEMA",
    "WRONG_RECORD",
    "TRUNCATED",
    "TRAILING_BYTES",
    "INVALID_FIELD",
    "NO_KEY",
    "KEY_MISMATCH",
    "NO_VALUE",
    "TOO_LARGE",
    "WRONG_PARTITION",
    "UNKNOWN_TYPE",
    "RENDER_FAILED",
    "REJECTED",
    "ATTEMPTS_EXHAUSTED",
]
"""The symbols of DeadLetterCode in schemas/avsc/dead_letter.avsc."""


class PoisonError(ValueError):
    """A record that will never be readable, however often it is read again: it belongs on `dead-letters`.

    `code` is what is wrong for a program, `reason` (the same as `str(error)`) for a person. It is never raised for
    what may pass, such as a schema registry that is down.
    """

    def __init__(self, code: DeadLetterCode, reason: str) -> None:
        super().__init__(reason)
        self.code: Final[DeadLetterCode] = code
        self.reason: Final = reason

    def __repr__(self) -> str:
        return f"PoisonError({self.code}, {self.reason!r})"
