"""The jars of Kafka: fetched once for a user, checked against `jars.lock` before every start.

`jars.lock` pins each jar by Maven coordinates and SHA-256, so that a start resolves nothing and runs exactly what was
tested. Where the file is damaged, by a download that was cut off or by a failing disk, it is fetched again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from connectors.embedded_kafka.errors import EmbeddedKafkaError
from connectors.embedded_kafka.file_lock import exclusive

DOWNLOADS_AT_ONCE = 8  # Most jars are small: the round trips cost more than the bytes.
LOCK_WAIT_SECONDS = 300.0  # Another process may be fetching 45 MB over a slow line.


@dataclass(frozen=True, slots=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def cache_directory() -> Path:
    """Where this user keeps what was fetched: `RINGONCE_CACHE`, else `ringonce` in the XDG cache directory."""
    if configured := os.environ.get("RINGONCE_CACHE"):
        return Path(configured).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ringonce"


def locked_jars() -> tuple[Jar, ...]:
    """The jars of `jars.lock`."""
    text = files("connectors.embedded_kafka").joinpath("jars.lock").read_text(encoding="utf-8")
    jars = []
    for line in text.splitlines():
        coordinates, sha256 = line.split()
        group, artifact, version = coordinates.split(":")
        jars.append(Jar(group, artifact, version, sha256))
    return tuple(jars)


def kafka_version() -> str:
    """The Kafka of `jars.lock`."""
    return next(jar.version for jar in locked_jars() if jar.artifact == "kafka-clients")


def kafka_jars() -> list[Path]:
    """The verified jars of Kafka, fetched where the cache lacks them. Blocks; raises EmbeddedKafkaError.

    Two processes that start at once take turns, and a jar appears under its name only when it is whole.
    """
    jars = locked_jars()
    directory = cache_directory() / f"kafka-{kafka_version()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with exclusive(directory / ".lock", LOCK_WAIT_SECONDS):
            wanting = [jar for jar in jars if not _is_whole(directory / jar.file_name, jar.sha256)]
            if wanting:
                _fetch(wanting, directory)
    except OSError as error:
        raise EmbeddedKafkaError(f"the cache directory {directory} cannot be used: {error}") from error
    return [directory / jar.file_name for jar in jars]


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def _fetch(wanting: Sequence[Jar], directory: Path) -> None:
    # Imported here because jgo brings its whole command line along, and a warm cache needs none of it.
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory(dir=directory, prefix=".fetch-") as staging:
        repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
        context = MavenContext(repo_cache=Path(staging), remote_repos=repositories, timeout=30)

        def fetch(jar: Jar) -> None:
            try:
                fetched = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            except (OSError, RuntimeError) as error:  # requests raises OSErrors, jgo RuntimeErrors
                state = "is damaged" if (directory / jar.file_name).exists() else "is missing"
                raise EmbeddedKafkaError(
                    f"{directory / jar.file_name} {state} and cannot be fetched: {_cause(error)}. The network is "
                    f"needed once; without one, copy {directory} from another machine, or use a Kafka of your own by "
                    "setting its bootstrap address."
                ) from error
            if not _is_whole(fetched, jar.sha256):
                raise EmbeddedKafkaError(
                    f"the repository's {jar.file_name} is not the one that jars.lock names (its SHA-256 differs); "
                    "it is not used"
                )
            fetched.replace(directory / jar.file_name)

        with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
            for _ in pool.map(fetch, wanting):
                pass


def _cause(error: BaseException) -> str:
    """The innermost reason: the outer ones of an HTTP client only repeat the request."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
