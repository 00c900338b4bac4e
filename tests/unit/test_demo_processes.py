"""The processes of the demo: what they say is heard."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streams.demo.processes import first_line, start, stopped_at_the_end

SELECT_MAX = 1_024  # descriptors from here on are beyond select()


@contextlib.contextmanager
def descriptors(count: int) -> Iterator[None]:
    """So many are taken meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * count:
        pytest.skip(f"a process may have {hard} descriptors only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * count), hard))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(count):
            stack.enter_context(Path("/dev/null").open("rb"))
        yield


def test_a_process_is_heard_among_a_thousand_files(tmp_path: Path) -> None:
    """Its pipe has a high number then."""
    with descriptors(SELECT_MAX), stopped_at_the_end() as processes:
        processes.append(start("simulators", ["connectors.simulators", "--directory", str(tmp_path)], tmp_path, {}))
        stdout = processes[0].popen.stdout
        assert stdout is not None
        assert stdout.fileno() >= SELECT_MAX
        assert first_line(processes[0])["apns"]["url"].startswith("https://127.0.0.1:")
