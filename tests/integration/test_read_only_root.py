"""A worker in a container whose root is read-only: all that it writes is in its data directory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.system import event, system

READY_SECONDS_MAX = 60.0
# In a mount namespace of its own: a file system in memory for the data, and everything else can only be read.
READ_ONLY = (
    "mount -t tmpfs tmpfs {data} && mount -o remount,bind,ro / && touch /forbidden 2>/dev/null || exec {command}"
)


def _can_make_it_read_only() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        return False
    tried = subprocess.run(
        [unshare, "--mount", "mount", "-o", "remount,bind,ro", "/"], capture_output=True, check=False
    )
    return tried.returncode == 0


@pytest.mark.skipif(not _can_make_it_read_only(), reason="needs root, and the right to mount, to make / read-only")
def test_a_worker_needs_no_more_than_its_data_directory(kafka: str, prefix: str, tmp_path: Path) -> None:
    """It starts, delivers, and leaves in order when it is told to (SIGTERM)."""
    with system(kafka, prefix, tmp_path) as running:
        data = tmp_path / "data"
        data.mkdir()
        command = f"{sys.executable} -m streams worker"
        environment = {**os.environ, **running.environment, "RINGONCE_DATA_DIR": str(data)}
        with (tmp_path / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", READ_ONLY.format(data=data, command=command)],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            give_up_at = time.monotonic() + READY_SECONDS_MAX
            while "ready:" not in (said := (tmp_path / "worker.log").read_text(encoding="utf-8")):
                assert worker.poll() is None, said
                assert time.monotonic() < give_up_at, said
                time.sleep(0.1)
            running.wait_for_devices()
            running.produce([event(f"user-{number:06d}", "order_ready", f"n{number}") for number in range(20)])
            ends = running.ended(20).final()
            assert set().union(*ends.values()) == {"ACCEPTED"}
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(READY_SECONDS_MAX) == 0
        finally:
            if worker.poll() is None:
                worker.kill()
                worker.wait()
    assert not Path("/forbidden").exists()
    assert list(data.iterdir()) == []  # what it wrote was in memory
