"""Child processes: what they are given, and that they do not outlive their parent."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from connectors.child_process import spawn

WAIT_SECONDS = 20.0
# Starts the simulators from a thread that ends at once, as a test's fixture or a demo may; prints their process.
PARENT = """
import sys, threading, time
from pathlib import Path
from streams.demo.processes import first_line, start
found = []
arguments = ["connectors.simulators", "--directory", sys.argv[1]]
starter = threading.Thread(target=lambda: found.append(start("simulators", arguments, Path(sys.argv[1]), {})))
starter.start()
starter.join()
first_line(found[0])
print(found[0].popen.pid, flush=True)
time.sleep(300)
"""


def test_it_is_a_process_as_any_other() -> None:
    """With its pipes, its end and its exit code."""
    child = spawn([sys.executable, "-c", "print(input()); exit(3)"], stdin=-1, stdout=-1, text=True)
    assert child.communicate("hello\n", timeout=WAIT_SECONDS) == ("hello\n", None)
    assert child.returncode == 3


def test_one_that_cannot_be_started_is_told() -> None:
    """As it would be by `subprocess.Popen`."""
    with pytest.raises(FileNotFoundError):
        spawn([sys.executable], cwd="/nowhere/at/all")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent has died")
def test_processes_of_the_demo_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """The thread that has started them may be gone long before."""
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.send_signal(signal.SIGKILL)
        child.wait(WAIT_SECONDS)
