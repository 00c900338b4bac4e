"""Tools that a test needs and that not every machine has: skipped with a clear word, or required by name."""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRED = "RINGONCE_TEST_REQUIRE"


def tool(name: str, package: str) -> str:
    """Return where a tool is; skip the test, or fail where RINGONCE_TEST_REQUIRE names it, when it is not there."""
    found = shutil.which(name)
    if found is not None:
        return found
    said = f"{name} is not there; it comes with Debian's package `{package}`"
    if name in os.environ.get(REQUIRED, "").split(","):
        pytest.fail(f"{said}, and {REQUIRED} names it")
    pytest.skip(said)
