"""A real PostgreSQL for tests and benchmarks, from the system's own packages: on loopback, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from connectors.embedded_kafka.ports import free_ports

START_SECONDS_MAX = 60.0
USER, PASSWORD = "history", "correct horse:battery@staple"
QUOTED_PASSWORD = "correct%20horse%3Abattery%40staple"


class PostgresServer:
    """A server with a password, a data directory of its own, and databases that are made when they are asked for."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        self._binaries = binaries
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self.port = free_ports(1)[0]
        # PostgreSQL does not run as root.
        self._user = _unprivileged() if os.geteuid() == 0 else None
        self._run("initdb", "--pgdata", self._data, "--username", USER, "--pwfile", self._password_file(), "--no-sync")

    @property
    def pid(self) -> int:
        """The process that all others of the server are children of."""
        assert self._process is not None, "it was started"
        return self._process.pid

    @property
    def _data(self) -> str:
        return str(self._directory / "data")

    def _password_file(self) -> str:
        file = self._directory / "password"
        file.write_text(PASSWORD, encoding="utf-8")
        if self._user is not None:
            for path in (self._directory, file):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        return str(file)

    def _run(self, name: str, *arguments: str) -> None:
        options = ("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C")
        done = subprocess.run(
            [str(self._binaries / name), *arguments, *options],
            capture_output=True,
            text=True,
            timeout=START_SECONDS_MAX,
            check=False,
            cwd=self._directory,
            user=None if self._user is None else self._user.pw_uid,
            group=None if self._user is None else self._user.pw_gid,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it, and wait until it answers."""
        own = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": str(self._directory)}
        cheap = {"shared_buffers": "64MB", "max_connections": 40, "fsync": os.environ.get("RINGONCE_TEST_FSYNC", "off")}
        settings = [f"--{name}={value}" for name, value in {**own, **cheap}.items()]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", self._data, *settings],
                stdout=log,
                stderr=log,
                cwd=self._directory,
                user=None if self._user is None else self._user.pw_uid,
                group=None if self._user is None else self._user.pw_gid,
            )
        give_up_at = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < give_up_at, (self._directory / "log").read_text(encoding="utf-8")
                assert self._process.poll() is None, (self._directory / "log").read_text(encoding="utf-8")
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once: who is connected is cut off, and what was committed is kept."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGINT)
            try:
                process.wait(START_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def url(self, database: str, password: str = QUOTED_PASSWORD) -> str:
        """Return where a database is."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Make a database; return its URL."""
        self._made += 1
        name = f"history_{self._made}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def backends(self) -> list[int]:
        """Return the processes that serve a connection of the history."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ringonce history'"
            return [row[0] for row in connection.execute(query).fetchall()]


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("neither postgres nor nobody is a user of this machine")


def binaries() -> Path | None:
    """Return where the newest PostgreSQL of this machine is."""
    found = list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found.sort(key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0)
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return None if elsewhere is None else Path(elsewhere).parent


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server. Without one, tests are skipped, or fail where RINGONCE_TEST_REQUIRE has `postgresql`."""
    where = binaries()
    if where is None:
        absent = "no PostgreSQL is installed: apt-get install postgresql"
        if "postgresql" in os.environ.get("RINGONCE_TEST_REQUIRE", "").split(","):
            pytest.fail(absent)
        pytest.skip(absent)
    # Below /tmp itself: pytest's own directories are closed to the user that the server runs as.
    directory = Path(tempfile.mkdtemp(prefix="ringonce-postgres-"))
    server = PostgresServer(where, directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
