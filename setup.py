"""The build: pure Python, or with RINGONCE_COMPILED=1 the modules of the hot path as machine code, by mypyc.

Which modules, and what they must keep to, is in pyproject.toml. Both are the same code. Compiling needs a C compiler,
and what requirements-build.lock names in the environment that builds: `pip wheel --no-build-isolation`.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from setuptools import setup

VARIABLE = "RINGONCE_COMPILED"


def extensions() -> list[Any]:
    """Return what is to be compiled: nothing, unless the variable asks for it."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted in ("", "0"):
        return []
    if wanted != "1":
        raise SystemExit(f"{VARIABLE} is {wanted!r}: 1 compiles the hot path, 0 or nothing leaves it as it is")
    try:
        from mypyc.build import mypycify
    except ImportError as error:
        raise SystemExit(f"{VARIABLE}=1 needs mypy: pip install --require-hashes -r requirements-build.lock") from error
    pyproject = tomllib.loads((Path(__file__).parent / "pyproject.toml").read_text())
    modules = pyproject["tool"]["ringonce"]["compiled"]
    return list(mypycify(["--follow-imports=silent", *modules], opt_level="3", group_name="ringonce"))


setup(ext_modules=extensions())
