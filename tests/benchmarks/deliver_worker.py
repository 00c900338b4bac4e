"""A worker with the deliver stage alone, as a process of its own, for the benchmark of deliver.

    python -m tests.benchmarks.deliver_worker '{"bootstrap": "127.0.0.1:9092", "app_id": "…", "data_dir": "…"}'

The argument holds settings by their names; those of the providers come from the environment. It prints `ready` when all
partitions are assigned, and works until SIGTERM. `RINGONCE_BENCH_PROFILE=FILE` profiles it into that file, which
makes it slow: not for a run that is measured. `RINGONCE_BENCH_STAGES=suppress,deliver` has it do more than deliver.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import logging
import os
import signal
import sys

import uvloop

from streams.app import AppParts, create_app
from streams.connect import open_connectors
from streams.settings import Settings, load_settings
from streams.templates.documents import compiled, read_document
from streams.templates.library import TemplateLibrary
from streams.types_file import NotificationTypes
from tests.benchmarks.deliver_workload import TYPE

PROFILE_VARIABLE = "RINGONCE_BENCH_PROFILE"
STAGES_VARIABLE = "RINGONCE_BENCH_STAGES"
TEMPLATE_VARIABLE = "RINGONCE_BENCH_TEMPLATE"  # of the type that is sent, as JSON


async def run(settings: Settings) -> int:
    """Work until told to stop. Returns the exit code."""
    connectors, types = open_connectors(settings), NotificationTypes.load()
    library = TemplateLibrary(types, settings.locale)
    if TEMPLATE_VARIABLE in os.environ:
        library.put("topic", compiled(read_document(TYPE, json.loads(os.environ[TEMPLATE_VARIABLE])), "topic"))
    app = create_app(
        AppParts(
            settings,
            types,
            connectors,
            templates=library,
            stages=frozenset(os.environ.get(STAGES_VARIABLE, "deliver").split(",")),
            faust={"web_enabled": False},
        )
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app.finalize()
    for connector in connectors.values():
        await connector.start()
    await app.start()
    await app.lanes.opened.wait()
    print("ready", flush=True)
    while not stop.is_set() and app.failure is None:
        try:
            async with asyncio.timeout(0.2):
                await stop.wait()
        except TimeoutError:
            continue
    await app.stop()
    for connector in connectors.values():
        await connector.close()
    return 0 if app.failure is None else 1


def main() -> None:
    """Run with the settings of the first argument."""
    logging.basicConfig(level=logging.WARNING)
    settings = load_settings(**json.loads(sys.argv[1]))
    profile_file = os.environ.get(PROFILE_VARIABLE)
    if profile_file is None:
        sys.exit(uvloop.run(run(settings)))  # as the product's worker does
    profile = cProfile.Profile()
    code = profile.runcall(uvloop.run, run(settings))
    profile.dump_stats(profile_file)
    sys.exit(code)


if __name__ == "__main__":
    main()
