"""How the Python that runs was built: with profile-guided optimisation a worker is a tenth faster; not all are."""

from __future__ import annotations

import platform
import sysconfig
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

ASKED_FOR: Final = "--enable-optimizations"  # of CPython's configure: profile-guided, since Python 3.6
# What configure finds out for any gcc and clang. Debian and Ubuntu build with profiles of their own, by flags for make,
# and leave this empty in what they ship.
_PROFILE_FLAG: Final = "PGO_PROF_USE_FLAG"


class Build(StrEnum):
    """`OWN`: by somebody who does not say how, as the packages of Debian and Ubuntu are, and those of Windows."""

    OPTIMISED = "built with optimisations"
    PLAIN = "built without optimisations"
    OWN = "as its distribution builds it"


def build_of(variables: Mapping[str, object]) -> Build:
    """Return how a Python with these variables (`sysconfig.get_config_vars`) was built."""
    asked = variables.get("CONFIG_ARGS")
    if not isinstance(asked, str):
        return Build.OWN
    if ASKED_FOR in asked:
        return Build.OPTIMISED
    return Build.PLAIN if variables.get(_PROFILE_FLAG) else Build.OWN


def this_build() -> Build:
    """Return how the Python that runs was built."""
    return build_of(sysconfig.get_config_vars())


def described() -> str:
    """Return its version and how it was built."""
    return f"{platform.python_version()} {this_build()}"
