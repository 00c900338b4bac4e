"""A child process that does not outlive its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

# Runs between fork and exec in a process of its own, because code between the two is unsafe in a process with threads.
# PR_SET_PDEATHSIG (1) survives exec; SIGTERM (15) lets the child end in order.
_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def spawn(command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start it as `subprocess.Popen` does; the first word is a path.

    On Linux it gets SIGTERM when this process ends in any way. Elsewhere the caller has to stop it.
    """
    if not sys.platform.startswith("linux"):
        return subprocess.Popen(command, **options)
    whole = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
    # Linux sends the signal when the *thread* that forked ends. This one ends with the child or with the process.
    started: list[subprocess.Popen[Any] | Exception] = []
    ready = threading.Event()

    def keep() -> None:
        try:
            process = subprocess.Popen(whole, **options)
        except Exception as error:
            started.append(error)
            return
        else:
            started.append(process)
        finally:
            ready.set()
        process.wait()

    threading.Thread(target=keep, name="child-process", daemon=True).start()
    ready.wait()
    if isinstance(started[0], Exception):
        raise started[0]
    return started[0]
