"""Write docs/configuration.md from the settings themselves, so that the list is complete and true."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from streams.settings import setting_names  # noqa: E402 (the path is set above)
from streams.types_file import CAPS_MAX, CapRule, TypePolicy  # noqa: E402 (the path is set above)

TARGET = ROOT / "docs" / "configuration.md"
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            "# Configuration",
            "",
            "Written by `make docs`; change the descriptions in `streams/settings.py`, `streams/provider_settings.py`",
            "and `streams/types_file.py`.",
            "",
            "## Settings",
            "",
            "Environment variables. All are checked at start; a wrong or mistyped one ends the command with exit code",
            "2 and one line that names it. A provider without credentials is off.",
            "",
            *_table(("Variable", *_COLUMNS), setting_names().items()),
            "",
            "`RINGONCE_CACHE` is where the embedded broker keeps Kafka's jars (default: `ringonce` in the user's cache",
            "directory).",
            "",
            "## Notification types",
            "",
            "One TOML file, `RINGONCE_TYPES_FILE`; `streams/types.toml` is the sample. Each key can stand in",
            "`[defaults]` and in a type's own table, `[types.<name>]`, which wins. `allow_unknown = false` at the top",
            "sends events of types that the file does not name to `dead-letters`; else they get the defaults.",
            "",
            *_table(("Key", *_COLUMNS), TypePolicy.model_fields.items()),
            "",
            "## Caps",
            "",
            "What one user is sent at most over all types: `[cap]` at the top of the same file, or `[[cap]]` for each",
            f"of several, at most {CAPS_MAX}. Without any there is none: [frequency-cap.md](frequency-cap.md).",
            "",
            *_table(("Key", *_COLUMNS), CapRule.model_fields.items()),
            "",
        ]
    )


_COLUMNS = ("Default", "Allowed", "Meaning")


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, FieldInfo]]) -> list[str]:
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    for name, field in rows:
        lines.append(f"| `{name}` | {_default(field)} | {_allowed(field)} | {field.description} |")
    return lines


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if value is None or value is PydanticUndefined or value == "":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(field: FieldInfo) -> str:
    annotation = str(field.annotation)
    if "Literal[" in annotation:
        choices = annotation.partition("Literal[")[2].partition("]")[0]
        return ", ".join(f"`{choice.strip().strip(chr(39))}`" for choice in choices.split(","))
    if field.annotation is bool:
        return "`true`, `false`"
    limits = [
        f"{words} {getattr(constraint, key):g}"
        for constraint in field.metadata
        for key, words in _LIMITS.items()
        if getattr(constraint, key, None) is not None
    ]
    if "path_type='dir'" in annotation:
        return "a folder that exists"
    if "FilePath" in annotation or "path_type='file'" in annotation or "PathType" in annotation:
        return "a file that exists"
    return ", ".join(limits)


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(page(), encoding="utf-8")
