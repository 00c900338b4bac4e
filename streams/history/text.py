"""Texts as a database can hold them: PostgreSQL takes no NUL, which an id may have. Pure."""

from __future__ import annotations


def storable(text: str) -> str:
    """Return a text without NUL: one is written `\\0`, and a backslash twice."""
    if "\0" not in text and "\\" not in text:
        return text
    return text.replace("\\", "\\\\").replace("\0", "\\0")


def original(text: str) -> str:
    """Return the text that `storable` was given."""
    if "\\" not in text:
        return text
    return "\\".join(part.replace("\\0", "\0") for part in text.split("\\\\"))
