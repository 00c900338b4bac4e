"""`python -m schemas.freeze`: keeps the contracts as they are now in schemas/avsc/history/, before they are changed.

A record is kept in its self-contained form and only when its newest kept version differs, so running it twice does
nothing. Records that hold a changed one (Due holds a Notification) are changed with it, and kept with it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import schemas
from schemas.contracts import CONTRACTS, load_history


def freeze(history: Path) -> list[Path]:
    """Write what is not kept yet below this folder; the files that were written."""
    kept = load_history(history)
    written = []
    for name, contract in CONTRACTS.items():
        versions = kept.get(name, ())
        if not versions or versions[-1].fingerprint != contract.fingerprint:
            folder = history / re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{len(versions) + 1}.avsc"
            file.write_text(json.dumps(contract.schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            written.append(file)
    return written


if __name__ == "__main__":
    for path in freeze(Path(schemas.__file__).parent / "avsc" / "history"):
        print(path)
