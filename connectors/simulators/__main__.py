"""Run the simulators as a process: `python -m connectors.simulators --directory DIR`.

One line of JSON on stdout says where everything is, as soon as all ports answer. SIGTERM and SIGINT end it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from connectors.simulators.control import Control
from connectors.simulators.faults import Faults
from connectors.simulators.listener import Listener
from connectors.simulators.provider_simulators import ProviderSimulators
from connectors.simulators.tls import LOOPBACK


async def serve(directory: Path, log_file: Path, control_port: int, host: str) -> None:
    """Serve until a signal comes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with ProviderSimulators(directory, log_file=log_file, host=host) as simulators:
        control = Listener(Control(simulators), None, Faults())
        await control.start(control_port)
        where = {**simulators.description(), "log_file": str(log_file), "control_url": control.origin}
        print(json.dumps(where), flush=True)
        await stop.wait()
        await control.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m connectors.simulators", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="receives certificates and credentials")
    parser.add_argument("--log-file", type=Path, help="push log, JSON lines (default: pushes.jsonl in the directory)")
    parser.add_argument("--control-port", type=int, default=0, help="default: a free one")
    parser.add_argument("--host", default=LOOPBACK, help="name for other machines; then all addresses are listened on")
    arguments = parser.parse_args()
    log_file = arguments.log_file or arguments.directory / "pushes.jsonl"
    _runner()(serve(arguments.directory.resolve(), log_file.resolve(), arguments.control_port, arguments.host))


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop
    except ImportError:
        # There is none for Windows; the loop of the standard library does the same, slower.
        return asyncio.run
    return uvloop.run


if __name__ == "__main__":
    main()
