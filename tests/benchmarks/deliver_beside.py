"""HTTP clients that others keep, in bare loops, against the same provider: what deliver's speed is next to.

They post the same bodies to FCM, whose pushes the stand-in can tell by their bodies, whoever compressed the headers.
"""

from __future__ import annotations

import json
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from connectors.fcm.request import FcmRequest, build_request
from connectors.outcome import ProviderName
from streams.types_file import NotificationTypes
from tests.benchmarks.bare_connector import WARM_UP
from tests.benchmarks.deliver_oracle import verify_arrivals
from tests.benchmarks.deliver_results import Case, DeliverRun
from tests.benchmarks.deliver_workload import make_targets, push_of
from tests.benchmarks.oracle import Verification
from tests.benchmarks.peers.packages import PACKAGES, UnavailableError, go_program, go_version, python_path
from tests.benchmarks.provider_stand_in import StandIn
from tests.benchmarks.worker_process import worker

PUSH_LOOP: Final = "tests.benchmarks.peers.push_loop"
AUTHORIZATION: Final = "Bearer " + "a" * 180  # as long as one; the stand-in checks nothing


@dataclass(frozen=True, slots=True)
class Client:
    """How its process is started, without its argument; and its environment. Both raise UnavailableError where it
    cannot be had. `share`: which part of the pushes it is given, where it is slow."""

    command: Callable[[], list[str]]
    environment: Callable[[], Mapping[str, str]] = dict
    share: float = 1.0


CLIENTS: Final[Mapping[str, Client]] = {
    "net/http of Go": Client(lambda: [str(go_program("push_loop"))]),
    "pyreqwest": Client(lambda: [sys.executable, "-m", PUSH_LOOP, "pyreqwest"], lambda: python_path("pyreqwest")),
    "wreq": Client(lambda: [sys.executable, "-m", PUSH_LOOP, "wreq"], lambda: python_path("wreq")),
    "hyper-h2": Client(lambda: [sys.executable, "-m", PUSH_LOOP, "h2"], share=0.5),
    "httpx": Client(lambda: [sys.executable, "-m", PUSH_LOOP, "httpx"], share=0.1),
}
# The packages of those that are in our own environment.
OURS: Final = {"hyper-h2": "h2", "httpx": "httpx"}


def available(names: Sequence[str]) -> list[str]:
    """Those of them that can be measured here; of the others it is said why not."""
    found = []
    for name in names:
        try:
            CLIENTS[name].command()
            CLIENTS[name].environment()
        except UnavailableError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
        else:
            found.append(name)
    return found


def versions_of(names: Sequence[str]) -> dict[str, str]:
    """What they are made of."""
    pinned = dict(part.split("==") for name in names for part in PACKAGES.get(name, ()))
    go = go_version() if "net/http of Go" in names else {}
    ours = {package: version(package) for name, package in OURS.items() if name in names}
    return {**pinned, **go, **ours}


async def measure_beside(name: str, case: Case, pushes: int, stand_in: StandIn, addresses: Sequence[Any]) -> DeliverRun:
    """One run of a client alone. Raises AssertionError when a push is wrong, UnavailableError."""
    client = CLIENTS[name]
    count = max(1, int(pushes * client.share))
    types, run = NotificationTypes.load(), uuid.uuid4().hex[:8]
    targets = make_targets(count + WARM_UP, ProviderName(case.provider), addresses, run)
    built = [build_request(push_of(target, types), 1_800_000_000.0) for target in targets]
    with tempfile.TemporaryDirectory() as directory:
        bodies = Path(directory, "bodies")
        lines = b"".join(one.body + b"\n" for one in built if isinstance(one, FcmRequest))
        bodies.write_bytes(lines)  # noqa: ASYNC240 (nothing else runs)
        where = stand_in.environment
        given = {
            "url": f"{where['RINGONCE_FCM_BASE_URL']}/v1/projects/p/messages:send",
            "ca_file": where["RINGONCE_PROVIDER_CA_FILE"],
            "headers": {"authorization": AUTHORIZATION, "content-type": "application/json"},
            "bodies": str(bodies),
            "in_flight": case.in_flight,
            "connections": case.connections,
            "warm": WARM_UP,
        }
        file = Path(directory, "given.json")
        file.write_text(json.dumps(given), encoding="utf-8")  # noqa: ASYNC240 (nothing else runs)
        command = [*client.command(), str(file)]
        async with worker(name, {}, client.environment(), command=command) as process:
            await stand_in.arrivals()
            said = await process.ask()
            arrivals = await stand_in.arrivals()
    found = Verification()
    verify_arrivals(targets[WARM_UP:], arrivals, found)
    found.assert_exact()
    return DeliverRun(
        case=case,
        what=name,
        pushes=count,
        per_second=round(count / said["seconds"]),
        cpu_us=round(said["cpu_seconds"] * 1e6 / count),
    )
