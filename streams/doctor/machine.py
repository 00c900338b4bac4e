"""This machine: its Python, the data directory, its disk, how many files may be open, the address of the web views."""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
from rocksdict import Rdict

from streams.doctor.finding import Finding, fail, ok, warn
from streams.interpreter import ASKED_FOR, Build, described, this_build
from streams.settings import Settings, SettingsError
from streams.topics import TABLES
from streams.web.address import advertised_host, web_port

FREE_BYTES_FAIL: Final = 1 << 30  # RocksDB stops writing when a compaction finds no room, and with it the worker
FREE_SHARE_WARN: Final = 0.1
SYNC_MS_WARN: Final = 20.0  # the tables are written after each commit, a few times a second on each partition
SYNCS: Final = 15
FILES_FOR_EACH_STORE: Final = 60  # a local store's own tables, log and locks at its usual size
FILES_BESIDES: Final = 512  # connections to brokers and providers, the web views


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Look at this machine; needs no Kafka."""
    yield judge_python(this_build(), described())
    yield from _disk(settings.data_dir)
    yield _files(settings.partitions)
    yield _web(settings)


def judge_python(build: Build, described: str) -> Finding:
    """Judge how this Python was built. Pure."""
    if build is Build.PLAIN:
        found = f"Python {described}: a worker does nine tenths of what it could"
        return warn("python", found, f"take one that was built with {ASKED_FOR}, as that of the image is")
    return ok("python", f"Python {described}")


def _disk(directory: Path) -> Iterator[Finding]:
    where = f"the data directory {directory}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=directory) as scratch:
            store = Rdict(str(Path(scratch) / "store"))
            store[b"written"] = b"read"
            read = store[b"written"]
            store.close()
            sync_ms = _sync_ms(Path(scratch) / "synced")
    except OSError as error:
        yield fail(
            "disk", f"{where} cannot be written: {error.strerror}", "give the worker's user the right to write it"
        )
        return
    except Exception as error:  # RocksDB's own errors have no class of their own
        yield fail("disk", f"RocksDB cannot work in {where}: {error}", "see what it says of the disk")
        return
    if read != b"read":
        yield fail("disk", f"RocksDB reads in {where} what it did not write", "check the disk")
    yield from _room(directory, where)
    if sync_ms > SYNC_MS_WARN:
        yield warn(
            "disk", f"{where} takes {sync_ms:.0f} ms to make a write durable", "use a local SSD, no network disk"
        )
    else:
        yield ok("disk", f"{where} is written, and durable after {sync_ms:.1f} ms")


def _room(directory: Path, where: str) -> Iterator[Finding]:
    usage = psutil.disk_usage(str(directory))
    free = f"{usage.free / (1 << 30):.1f} GiB are free for {where}"
    if usage.free < FREE_BYTES_FAIL:
        yield fail("disk", f"only {free}", "make room: docs/capacity.md says how much N users need")
    elif usage.free < FREE_SHARE_WARN * usage.total:
        yield warn("disk", f"only {free}, less than a tenth of the disk", "make room before it is full")
    else:
        yield ok("disk", free)


def _sync_ms(path: Path) -> float:
    """The usual time to append a page and have it on the disk."""
    times = []
    with path.open("wb") as file:
        for _ in range(SYNCS):
            file.write(bytes(4096))
            file.flush()
            started_at = time.monotonic()
            os.fsync(file.fileno())
            times.append(time.monotonic() - started_at)
    return statistics.median(times) * 1000


def _files(partitions: int) -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FILES_FOR_EACH_STORE * partitions * len(TABLES) + FILES_BESIDES
    found = f"a process may open {soft:,} files; a worker that has all {partitions} partitions may need {needed:,}"
    if soft < needed:
        return warn("files", found, f"raise the limit (`ulimit -n {needed}`, LimitNOFILE= of systemd)")
    return ok("files", found)


def _web(settings: Settings) -> Finding:
    try:
        port = web_port(settings)
        host = advertised_host(settings)
    except SettingsError as error:
        return fail("web", str(error), "is another worker running here? RINGONCE_WEB_PORT=0 takes any free port")
    reach = "" if settings.web_host in ("127.0.0.1", "localhost", "::1") else f", and others reach it as {host}"
    return ok("web", f"port {port} on {settings.web_host} is free{reach}")
