"""`ringonce demo`: a whole system on this machine, and a check of what it promises."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from connectors.embedded_kafka import EmbeddedKafka
from connectors.embedded_kafka.jars import kafka_jars
from connectors.embedded_kafka.ports import free_ports
from streams.audit.auditor import AuditOptions
from streams.commands.audit import run_audit, show_violations
from streams.commands.terminal import fail, out, say
from streams.demo.play import Played, new_addresses, play
from streams.demo.processes import (
    Process,
    ProcessError,
    first_line,
    provider_environment,
    start,
    stopped_at_the_end,
    wait_for_log,
)
from streams.demo.screen import Screen, result
from streams.demo.workload import Plan
from streams.settings import Settings, load_settings
from streams.topics import ensure_topics

SCHEDULE_SECONDS = 5.0
AUDIT_WAIT_SECONDS = 20.0


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    users: Annotated[int, typer.Option(min=10, max=1_000_000, help="How many users there are.")] = 5_000,
    events: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many events are played.")] = 20_000,
    workers: Annotated[int, typer.Option(min=1, max=16, help="How many workers share the work.")] = 2,
    seed: Annotated[int, typer.Option(help="The same seed plays the same stream.")] = 1,
    seconds_max: Annotated[float, typer.Option(min=5, help="Give up after this long.")] = 180.0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end, until Ctrl-C.")] = False,
) -> None:
    """Start broker, provider simulators and workers, play a stream of events, and check the promise at the end."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what matters is shown here
    plan = Plan(users=users, events=events, seed=seed, schedule_seconds=SCHEDULE_SECONDS)
    try:
        with tempfile.TemporaryDirectory(prefix="ringonce-demo-") as name, stopped_at_the_end() as processes:
            directory = Path(name)
            # Whatever starts, starts while the rest does: this one writes its keys while Kafka comes up.
            simulators = start(
                "simulators", ["connectors.simulators", "--directory", f"{name}/simulators"], directory, {}
            )
            processes.append(simulators)
            with _broker(directory) as broker:
                kept = _run(plan, broker, directory, workers, seconds_max, processes)
                if keep:
                    # All that was said is still on Kafka: so it costs nothing while the events are played.
                    processes.append(start("history", ["streams", "history"], directory, kept))
                    _keep(kept, directory)
                # Workers leave while their broker is still there, and all at once: none takes over from another.
                for worker in processes[1:]:
                    worker.ask_to_stop()
                for worker in processes[1:]:
                    worker.stop()
    except ProcessError as error:
        fail(str(error))


@dataclass(frozen=True, slots=True)
class Broker:
    """Where Kafka is, or will be; `wait` returns once it answers."""

    bootstrap: str
    wait: Callable[[], object]


@contextlib.contextmanager
def _broker(directory: Path) -> Iterator[Broker]:
    configured = os.environ.get("RINGONCE_BOOTSTRAP")
    if configured:
        say(f"Kafka: {configured}, as configured")
        yield Broker(configured, lambda: None)
        return
    say("Kafka: starting one on this machine (the first time it is fetched, which takes a while) …")
    kafka_jars()  # before anybody waits for the broker
    port = free_ports(1)[0]
    kafka = EmbeddedKafka(directory / "kafka", port=port)
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(kafka.start)
        try:
            yield Broker(f"127.0.0.1:{port}", starting.result)
        finally:
            pool.shutdown()  # it can be stopped only once it has started
            kafka.stop()


def _run(
    plan: Plan, broker: Broker, directory: Path, workers: int, seconds_max: float, processes: list[Process]
) -> dict[str, str]:
    started_at = time.monotonic()
    # Several demos may share a configured cluster: each has topics of its own.
    unique = f"demo-{os.getpid()}-{int(time.time())}"
    settings = load_settings(bootstrap=broker.bootstrap, app_id=unique, topic_prefix=f"{unique}.", data_dir=directory)
    simulators = first_line(processes[0])
    environment = {
        "RINGONCE_BOOTSTRAP": broker.bootstrap,
        "RINGONCE_APP_ID": unique,
        "RINGONCE_TOPIC_PREFIX": f"{unique}.",
        "RINGONCE_HISTORY_URL": f"sqlite://{directory}/history.db",
        **provider_environment(simulators),
    }
    for number in range(1, workers + 1):
        own = {**environment, "RINGONCE_DATA_DIR": str(directory / f"worker-{number}"), "RINGONCE_WEB_PORT": "0"}
        processes.append(start(f"worker-{number}", ["streams", "worker"], directory, own))
    broker.wait()
    say(f"Kafka: {broker.bootstrap}, after {time.monotonic() - started_at:.0f} s")
    report = asyncio.run(ensure_topics(settings))
    for difference in report.differences:
        fail(difference)
    for process in processes[1:]:
        wait_for_log(process, "ready:")
    waited = time.monotonic() - started_at
    say(f"simulators of APNs, FCM and Web Push; {workers} workers, ready after {waited:.0f} s")
    played = _play(settings, plan, simulators, seconds_max)
    _judge(settings, played, Path(simulators["log_file"]))
    return environment


def _play(settings: Settings, plan: Plan, simulators: dict[str, str], seconds_max: float) -> Played:
    addresses = new_addresses(simulators["control_url"], plan)
    with Screen(out) as screen:
        return asyncio.run(play(settings, plan, addresses, screen.show, seconds_max))


def _judge(settings: Settings, played: Played, pushes: Path) -> None:
    time.sleep(0.5)  # the simulators write their log at least this often
    options = AuditOptions(push_log=pushes, complete=True)
    report, lines = asyncio.run(run_audit(settings, options, AUDIT_WAIT_SECONDS))
    out.print(result(played, report))
    if not report.pushes:
        fail("no provider has seen any push")
    if report.violations:
        show_violations(report, lines)
        fail("the promise was not kept")
    out.print("[bold green]kept:[/] no (user, type) got two within the window, and every event has exactly one end")


def _keep(environment: dict[str, str], directory: Path) -> None:
    say("everything is left running; for another terminal:")
    for name, value in environment.items():
        out.print(f"export {name}={value}", markup=False)
    say(f"logs in {directory}; Ctrl-C ends it all")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
