"""Whether the hot path runs as machine code: the wheel of the image is built so, a checkout is not."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType

from schemas import heads


def is_compiled(module: ModuleType = heads) -> bool:
    """Tell whether a module is machine code; all that pyproject.toml lists are, or none."""
    return str(module.__file__).endswith(tuple(EXTENSION_SUFFIXES))
